package googlests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// accountPath is how the IAM Credentials API names a service account; the project is obligatorily "-".
const accountPath = "projects/-/serviceAccounts/"

// The methods of the IAM Credentials API.
const (
	generateAccessToken = "generateAccessToken"
	generateIDToken     = "generateIdToken"
)

// The requests and answers of the IAM Credentials API.
type (
	accessTokenRequest struct {
		Delegates []string `json:"delegates,omitempty"`
		Scope     []string `json:"scope"`
		Lifetime  string   `json:"lifetime"` // a protobuf Duration: "3600s"
	}
	accessTokenAnswer struct {
		AccessToken refresher.Secret `json:"accessToken"`
		ExpireTime  string           `json:"expireTime"` // RFC 3339
	}
	idTokenRequest struct {
		Delegates    []string `json:"delegates,omitempty"`
		Audience     string   `json:"audience"`
		IncludeEmail bool     `json:"includeEmail"`
	}
	idTokenAnswer struct {
		Token refresher.Secret `json:"token"`
	}
)

func (x *Exchanger) accessToken(ctx context.Context, subject refresher.Token, federated refresher.Secret, scopes []string) (refresher.Credential, error) {
	refresher.AttemptFrom(ctx).Record(func(d *refresher.AttemptData) { d.Requested = x.o.Lifetime })
	var answer accessTokenAnswer
	err := x.impersonate(ctx, subject, federated, generateAccessToken, accessTokenRequest{
		Delegates: x.delegates(),
		Scope:     scopes,
		Lifetime:  fmt.Sprintf("%ds", x.o.Lifetime/time.Second),
	}, &answer)
	if err != nil {
		return refresher.Credential{}, err
	}
	expires, err := time.Parse(time.RFC3339, answer.ExpireTime)
	if answer.AccessToken == "" || err != nil {
		return refresher.Credential{}, badAnswer(impersonation, errors.New("no accessToken, or no expireTime in RFC 3339"))
	}
	return refresher.Credential{
		Value:   refresher.Bearer{Token: answer.AccessToken, Type: refresher.TypeAccessToken},
		Expires: expires,
	}, nil
}

func (x *Exchanger) idToken(ctx context.Context, subject refresher.Token, federated refresher.Secret, audience string) (refresher.Credential, error) {
	var answer idTokenAnswer
	err := x.impersonate(ctx, subject, federated, generateIDToken, idTokenRequest{
		Delegates: x.delegates(),
		Audience:  audience,
		// Metadata servers leave the e-mail out unless asked for format=full, but nobody minds
		// having it, and those who need it cannot ask for it later.
		IncludeEmail: true,
	}, &answer)
	if err != nil {
		return refresher.Credential{}, err
	}
	claims, err := refresher.ParseClaims(answer.Token)
	if err != nil {
		return refresher.Credential{}, badAnswer(impersonation, fmt.Errorf("ID token: %w", err))
	}
	return refresher.Credential{
		Value:   refresher.Bearer{Token: answer.Token, Type: refresher.TypeIDToken},
		Expires: claims.Expires,
	}, nil
}

// impersonation names the second step in errors.
const impersonation = "service account impersonation"

// impersonate calls a method of the IAM Credentials API and decodes its answer.
func (x *Exchanger) impersonate(ctx context.Context, subject refresher.Token, federated refresher.Secret, method string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	endpoint := x.o.ImpersonationURL + "/v1/" + accountPath + x.o.ServiceAccount + ":" + method
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+federated.Reveal())
	req.Header.Set("Content-Type", "application/json")
	if x.o.QuotaProject != "" {
		// The user project of the federated token is not billed for this request.
		req.Header.Set("X-Goog-User-Project", x.o.QuotaProject)
	}
	resp, err := x.client.Do(req)
	if err != nil {
		return atStep(impersonation, upstream.NetworkError(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return atStep(impersonation, x.impersonationRefusal(ctx, subject, method))
	}
	text, err := io.ReadAll(resp.Body) // the transport bounds it
	if err != nil {
		return atStep(impersonation, upstream.NetworkError(&url.Error{Op: "Post", URL: endpoint, Err: err}))
	}
	if json.Unmarshal(text, answer) != nil {
		return badAnswer(impersonation, errors.New("the answer is not the JSON object expected"))
	}
	return nil
}

func (x *Exchanger) delegates() []string {
	var names []string
	for _, account := range x.o.Delegates {
		names = append(names, accountPath+account)
	}
	return names
}
