package pairs

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// ServeHTTP gives each request to the service that its path belongs to.
func (w *World) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.service(r).ServeHTTP(rw, r)
}

func (w *World) service(r *http.Request) http.Handler {
	github := strings.TrimPrefix(w.GitHub.RequestURL(), w.o.URL)
	github, _, _ = strings.Cut(github, "?")
	for _, s := range []struct {
		prefix string
		http.Handler
	}{
		{"/kubernetes/token", http.HandlerFunc(w.token)},
		{github, w.GitHub},
		{"/metadata/", w.AzureIMDS},
		{"/computeMetadata/", w.GCE},
		{"/latest/", w.EC2},
		{w.Container.Path(), w.Container},
		{"/v1/token", w.Google},
		{"/v1/projects/", w.Google},
		{"/" + tenant + "/", w.Entra},
		{"/token", w.OAuth},
	} {
		if strings.HasPrefix(r.URL.Path, s.prefix) {
			return s.Handler
		}
	}
	return w.AWS
}

// token gives out Kubernetes tokens to those who know the secret, as some services on a machine do.
func (w *World) token(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+urlSecret {
		http.Error(rw, "unauthorized", http.StatusUnauthorized)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]string{"token": w.mint(r.URL.Query().Get("audience"))})
}

// publish gives the issuers their names.
func (w *World) publish() {
	for host, service := range map[string]http.Handler{
		"oidc.example":                        w.Kubernetes,
		"token.actions.githubusercontent.com": w.GitHub,
		"sts.example":                         w.OAuth,
		"sts." + region + ".amazonaws.com":    w.AWS,
		"sts.windows.net":                     http.HandlerFunc(w.microsoft),
		"accounts.google.com":                 http.HandlerFunc(w.accounts),
	} {
		w.internet.Handle(host, service)
	}
}

// microsoft publishes the keys of two: the tenant of the virtual machine has its own here, those of the
// other are where Entra is.
func (w *World) microsoft(rw http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/" + tenant + "/.well-known/openid-configuration":
		writeDiscovery(rw, "https://sts.windows.net/"+tenant+"/", "https://sts.windows.net/"+tenant+"/keys")
	case "/" + tenant + "/keys":
		w.Entra.ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "https://login.microsoftonline.com/"+tenant+"/discovery/v2.0/keys", http.NoBody))
	default:
		w.AzureIMDS.ServeHTTP(rw, r)
	}
}

// accounts publishes the keys of Google's ID tokens: those of virtual machines and those of service
// accounts come from two fakes, but have one issuer.
func (w *World) accounts(rw http.ResponseWriter, r *http.Request) {
	const issuer = "https://accounts.google.com"
	if r.URL.Path != "/keys" {
		writeDiscovery(rw, issuer, issuer+"/keys")
		return
	}
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for handler, url := range map[http.Handler]string{w.Google: "https://www.googleapis.com/oauth2/v3/certs", w.GCE: issuer + "/openid/v1/jwks"} {
		if err := keys(handler, url, &all.Keys); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(all)
}

// keys adds those that a service publishes.
func keys(service http.Handler, url string, list *[]json.RawMessage) error {
	answer := httptest.NewRecorder()
	service.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, url, http.NoBody))
	text, err := io.ReadAll(answer.Result().Body)
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := errors.Join(err, json.Unmarshal(text, &set)); err != nil {
		return err
	}
	*list = append(*list, set.Keys...)
	return nil
}

func writeDiscovery(rw http.ResponseWriter, issuer, keys string) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]any{
		"issuer": issuer, "jwks_uri": keys,
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
	})
}
