package clients_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// api is what clients call with their tokens, as they would call an API of Google or one that trusts Entra: it
// says whom it takes the caller for. AWS has GetCallerIdentity for that.
func (s *stage) api(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	who, err := s.bearer(token)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	_, _ = w.Write([]byte(who))
}

// bearer is whom the clouds take somebody for who has the token.
func (s *stage) bearer(token string) (string, error) {
	if principal, valid := s.google.Principal(token); valid {
		return principal, nil
	}
	app, entra := s.entra.Validate(token)
	if entra == nil {
		return byClient(app.ClientID, app.Audience), nil
	}
	who, id := s.idToken(token)
	if id == nil {
		return who, nil
	}
	return "", errors.Join(errors.New("Google: no such access token"), entra, id)
}

// byClient and byIDToken are what the API says of tokens of Entra, and of ID tokens of Google.
func byClient(id, audience string) string     { return "client " + id + " at " + audience }
func byIDToken(email, audience string) string { return "ID token of " + email + " for " + audience }

// idToken verifies an ID token with the keys of the fake Google, as the service does that it is for.
func (s *stage) idToken(token string) (string, error) {
	answer := httptest.NewRecorder()
	s.google.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/oauth2/v3/certs", nil))
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(answer.Body.Bytes(), &keys); err != nil {
		return "", err
	}
	signed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", errors.New("not a signed JWT") // the error may quote the token
	}
	var said struct {
		jwt.Claims
		Email string `json:"email"`
	}
	if err := signed.Claims(keys, &said); err != nil {
		return "", fmt.Errorf("the ID token's signature: %w", err)
	}
	if err := said.Validate(jwt.Expected{Issuer: "https://accounts.google.com", Time: time.Now()}); err != nil {
		return "", err
	}
	slices.Sort(said.Audience)
	return byIDToken(said.Email, strings.Join(said.Audience, " ")), nil
}
