package agent_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// secretFile is what an outlet has made.
func (w *world) secretFile(name string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "secrets", name))
	if err != nil {
		w.Fatal(err)
	}
	w.secret(string(text))
	return string(text)
}

func (w *world) awsContainer() {
	w.Helper()
	secret := w.secretFile("aws")
	got := w.get(w.urls["OUTLETS"], "/aws/reports", "Authorization: "+secret)
	var key struct{ AccessKeyID, SecretAccessKey, Token, RoleArn string }
	if err := json.Unmarshal([]byte(got.body), &key); err != nil || got.status != http.StatusOK {
		w.Fatalf("awsContainer: %d %s: %v", got.status, got.body, err)
	}
	w.secret(key.SecretAccessKey, key.Token)
	const session = "arn:aws:sts::123456789012:assumed-role/reports/shop-reports-reports-0"
	if arn, valid := w.aws.Principal(key.AccessKeyID, key.SecretAccessKey, key.Token); !valid || arn != session || key.RoleArn != awsRole {
		w.Errorf("the key is that of %s, %v, role %s", arn, valid, key.RoleArn)
	}
	if got := w.get(w.urls["OUTLETS"], "/aws/reports"); got.status != http.StatusUnauthorized {
		w.Errorf("awsContainer without the secret: %d %s", got.status, got.body)
	}
	if got := w.get(w.urls["OUTLETS"], "/aws/reports", "Authorization: "+secret[1:]); got.status != http.StatusForbidden {
		w.Errorf("awsContainer with a wrong secret: %d %s", got.status, got.body)
	}
}

func (w *world) gceMetadata() {
	w.Helper()
	const flavor = "Metadata-Flavor: Google"
	ask := func(path string) string {
		w.Helper()
		got := w.get(w.urls["OUTLETS"], "/computeMetadata/v1/"+path, flavor)
		if got.status != http.StatusOK {
			w.Errorf("gceMetadata %s: %d %s", path, got.status, got.body)
		}
		return got.body
	}
	token := func(query string) string {
		w.Helper()
		var token struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(ask("instance/service-accounts/default/token"+query)), &token); err != nil {
			w.Error(err)
		}
		w.secret(token.AccessToken)
		if principal, valid := w.google.Principal(token.AccessToken); !valid || principal != "serviceAccount:"+googleAccount {
			w.Errorf("gceMetadata %s: the token is that of %q, %v", query, principal, valid)
		}
		return token.AccessToken
	}
	const readOnly = "https://www.googleapis.com/auth/devstorage.read_only"
	token("")
	if scopes := w.google.Scopes(token("?scopes=" + readOnly)); len(scopes) != 1 || scopes[0] != readOnly {
		w.Errorf("the token has the scopes %v", scopes)
	}
	idToken := ask("instance/service-accounts/default/identity?audience=https://reports.example")
	w.secret(idToken)
	if strings.Count(idToken, ".") != 2 {
		w.Errorf("the ID token has %d dots", strings.Count(idToken, "."))
	}
	for path, want := range map[string]string{
		"instance/service-accounts/default/email": googleAccount,
		"project/project-id":                      "shop-prod",
		"project/numeric-project-id":              "123456789",
		"instance/zone":                           "projects/123456789/zones/europe-west1-b",
	} {
		if got := ask(path); got != want {
			w.Errorf("gceMetadata %s = %q, want %q", path, got, want)
		}
	}
	if got := w.get(w.urls["OUTLETS"], "/computeMetadata/v1/instance/service-accounts/default/token"); got.status != http.StatusForbidden {
		w.Errorf("gceMetadata without its header: %d %s", got.status, got.body)
	}
}

// entraToken checks the body of an Azure outlet.
func (w *world) entraToken(got answer, resource string) {
	w.Helper()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &token); err != nil || got.status != http.StatusOK {
		w.Fatalf("Azure token: %d %s: %v", got.status, got.body, err)
	}
	w.secret(token.AccessToken)
	if valid, err := w.entra.Validate(token.AccessToken); err != nil || valid.Audience != resource || valid.ClientID != entraClient {
		w.Errorf("the token is %+v, %v, want one for %s", valid, err, resource)
	}
}

func (w *world) azureIMDS() {
	w.Helper()
	const path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
	w.entraToken(w.get(w.urls["OUTLETS"], path, "Metadata: true"), "https://management.azure.com/")
	if got := w.get(w.urls["OUTLETS"], path); got.status != http.StatusBadRequest {
		w.Errorf("azureIMDS without its header: %d %s", got.status, got.body)
	}
}

func (w *world) appService() {
	w.Helper()
	const path = "/msi/token?api-version=2019-08-01&resource=https://vault.azure.net"
	w.entraToken(w.get(w.urls["OUTLETS"], path, "X-Identity-Header: "+w.secretFile("azure")), "https://vault.azure.net")
	if got := w.get(w.urls["OUTLETS"], path); got.status != http.StatusUnauthorized {
		w.Errorf("appService without its secret: %d %s", got.status, got.body)
	}
}

func (w *world) files() {
	w.Helper()
	for name, want := range map[string]struct {
		mode    os.FileMode
		content string
	}{
		"aws":    {0o600, `^# expires .*\n\[default\]\naws_access_key_id = ASIA\w+\n`},
		"google": {0o640, `^ya29\.[\w.-]+$`},
		"azure":  {0o600, `^\{"type":"bearer","token":"eyJ`},
	} {
		path := filepath.Join(w.dir, "out", name)
		text, err := os.ReadFile(path)
		if err != nil {
			w.Error(err) // the startup probe waits for files, too
			continue
		}
		if !regexp.MustCompile(want.content).Match(text) {
			w.Errorf("the file of %s has %d bytes that do not match %s", name, len(text), want.content)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want.mode {
			w.Errorf("the file of %s has the mode %v, %v, want %v", name, info.Mode(), err, want.mode)
		}
	}
}

var notZero = regexp.MustCompile(` [1-9][0-9.e+]*\n$`)

// metrics are compared by name and labels; what they count differs from run to run.
func (w *world) metrics() {
	w.Helper()
	var got answer
	eventually(w.T, "the last answer is counted", func() bool {
		got = w.get(w.urls["PROBES"], "/metrics")
		return strings.Contains(got.body, `wisp_reads_total{outlet="none",status="404"} 1`)
	})
	if kind := got.header.Get("Content-Type"); kind != "text/plain; version=0.0.4; charset=utf-8" {
		w.Errorf("the metrics are %s", kind)
	}
	var ours, others strings.Builder
	for line := range strings.Lines(got.body) {
		if strings.HasPrefix(line, "wisp_") {
			ours.WriteString(notZero.ReplaceAllString(line, " N\n"))
		} else {
			others.WriteString(line)
		}
	}
	golden(w.T, filepath.Join("testdata", "metrics.golden"), ours.String())
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(others.String(), name) {
			w.Errorf("the metrics lack %s", name)
		}
	}
	for _, name := range []string{awsRole, googleAccount, entraClient, "https://"} {
		if strings.Contains(got.body, name) {
			w.Errorf("the metrics tell %s", name)
		}
	}
}
