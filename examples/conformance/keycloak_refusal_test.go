package conformance_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// A refusal is an exchange that Keycloak refuses, and what wisp makes of it.
type refusal struct {
	name, options string
	subject       string // whose token is shown; empty: the workload's
	answer        string // Keycloak's, byte for byte
	class         string
	hint          string // part of it; not checked if empty
}

// What Keycloak as it comes says: wisp sorts failures by these words alone.
var keycloakRefusals = []refusal{
	{
		name:    "a wrong secret in the header",
		options: `{tokenUrl: $token, clientAuth: basic, clientId: basic, clientSecretFile: $dir/wrong, audience: [reports]}`,
		answer:  `401 {"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`,
		class:   "settling", hint: "client",
	},
	{
		name:    "a wrong secret in the form",
		options: `{tokenUrl: $token, clientAuth: post, clientId: post, clientSecretFile: $dir/wrong, audience: [reports]}`,
		answer:  `401 {"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`,
		class:   "settling", hint: "client",
	},
	{
		name:    "an unknown client",
		options: `{tokenUrl: $token, clientId: nobody, clientSecretFile: $dir/secret, audience: [reports]}`,
		answer:  `401 {"error":"invalid_client","error_description":"Invalid client or Invalid client credentials"}`,
		class:   "settling", hint: `compare the client "nobody" with the secret in the file`,
	},
	{
		name:    "a client without proof",
		options: `{tokenUrl: $token, clientId: basic, audience: [reports]}`,
		answer:  `401 {"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`,
		class:   "settling", hint: "client",
	},
	{
		name:    "a public client",
		options: `{tokenUrl: $token, clientId: public, audience: [reports]}`,
		answer:  `400 {"error":"invalid_client","error_description":"Public client is not allowed to exchange token"}`,
		class:   "settling", hint: "permit token exchange",
	},
	{
		name:    "an assertion signed with another key",
		options: `{tokenUrl: $token, clientId: rsa, privateKeyFile: $dir/other.pem, keyId: RS256, audience: [reports]}`,
		answer:  `400 {"error":"invalid_client","error_description":"Client authentication with signed JWT failed: Signature on JWT token failed validation"}`,
		class:   "settling", hint: "with the public key of",
	},
	{
		name:    "an assertion signed with a key of another id",
		options: `{tokenUrl: $token, clientId: rsa, privateKeyFile: $dir/rsa.pem, keyId: unknown, audience: [reports]}`,
		answer:  `400 {"error":"invalid_client","error_description":"Unable to load public key"}`,
		class:   "settling", hint: `(keyId "unknown")`,
	},
	{
		name:    "an assertion signed with another algorithm",
		options: `{tokenUrl: $token, clientId: rsa, privateKeyFile: $dir/ec.pem, keyId: RS256, audience: [reports]}`,
		answer:  `400 {"error":"invalid_client","error_description":"Invalid signature algorithm"}`,
		class:   "settling", hint: "with the public key of",
	},
	{
		name:    "an assertion for another audience",
		options: `{tokenUrl: $token, clientId: rsa, privateKeyFile: $dir/rsa.pem, keyId: RS256, assertionAudience: "https://example.com", audience: [reports]}`,
		answer:  `400 {"error":"invalid_client","error_description":"Invalid token audience"}`,
		class:   "settling", hint: `audience, "https://example.com", is accepted`,
	},
	{
		name:    "an assertion of an unknown client",
		options: `{tokenUrl: $token, clientId: nobody, privateKeyFile: $dir/rsa.pem, keyId: RS256, audience: [reports]}`,
		answer:  `401 {"error":"invalid_client","error_description":"Invalid client or Invalid client credentials"}`,
		class:   "settling", hint: `check that the client "nobody" is registered`,
	},
	{
		name:    "an assertion of a client that has a secret",
		options: `{tokenUrl: $token, clientId: basic, privateKeyFile: $dir/rsa.pem, keyId: RS256, audience: [reports]}`,
		answer:  `401 {"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`,
		class:   "settling", hint: "client",
	},
	{
		name:    "an exchange that the client is not enabled for",
		options: `{tokenUrl: $token, clientId: disabled, clientSecretFile: $dir/secret, audience: [reports]}`,
		answer:  `400 {"error":"invalid_request","error_description":"Standard token exchange is not enabled for the requested client"}`,
		class:   "settling", hint: "permit token exchange",
	},
	{
		name:    "an unknown audience",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, audience: [nowhere]}`,
		answer:  `400 {"error":"invalid_client","error_description":"Audience not found"}`,
		class:   "settling", hint: `asked for was audience "nowhere"`,
	},
	{
		name:    "an audience that the client is not given",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, audience: [payroll]}`,
		answer:  `400 {"error":"invalid_request","error_description":"Requested audience not available: payroll"}`,
		class:   "settling", hint: `asked for was audience "payroll"`,
	},
	{
		name:    "an unknown scope",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, scopes: [write]}`,
		answer:  `400 {"error":"invalid_scope","error_description":"Invalid scopes: write"}`,
		class:   "denied", hint: `asked for was scope "write"`,
	},
	{
		name:    "a type of token that it does not issue",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, requestedTokenType: "urn:ietf:params:oauth:token-type:jwt"}`,
		answer:  `400 {"error":"invalid_request","error_description":"requested_token_type unsupported"}`,
		class:   "denied", hint: "requestedTokenType",
	},
	{
		name:    "a subject token that is sent as a JWT",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, subjectTokenType: "urn:ietf:params:oauth:token-type:jwt"}`,
		answer:  `400 {"error":"invalid_request","error_description":"Parameter 'subject_token' supports access tokens only"}`,
		class:   "denied", hint: "sent was urn:ietf:params:oauth:token-type:jwt",
	},
	{
		name:    "a subject token that has expired",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, audience: [reports]}`, subject: "expired",
		answer: `400 {"error":"invalid_request","error_description":"Invalid token"}`,
		class:  "subject_token",
	},
	{
		name:    "a subject token of another realm",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, audience: [reports]}`, subject: "elsewhere",
		answer: `400 {"error":"invalid_request","error_description":"Invalid token"}`,
		class:  "subject_token", hint: "/realms/elsewhere",
	},
	{
		name:    "a subject token that is not for the client",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, audience: [reports]}`, subject: "stranger",
		answer: `403 {"error":"access_denied","error_description":"Client is not within the token audience"}`,
		class:  "settling", hint: "client in the subject token's audience",
	},
	{
		name:    "an unknown realm",
		options: `{tokenUrl: $nowhere, clientId: basic, clientSecretFile: $dir/secret, audience: [reports]}`,
		answer:  `404 {"error":"Realm does not exist"}`,
		class:   "settling", hint: "correct the path of tokenUrl",
	},
}

// refuses checks one.
func (k *keycloak) refuses(t *testing.T, want refusal, config string) {
	t.Helper()
	k.lastRefusal() // of an earlier test
	got := failed(t, config)
	answer := k.lastRefusal()
	if answer != want.answer {
		t.Errorf("Keycloak answers\n%s, want\n%s", answer, want.answer)
	}
	if got.Class != want.class || !strings.Contains(got.Hint, want.hint) {
		t.Errorf("wisp says %s, hint %q, want %s, %q", got.Class, got.Hint, want.class, want.hint)
	}
	_, body, _ := strings.Cut(answer, " ")
	var said map[string]string
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatalf("Keycloak's answer is no JSON: %v", err)
	}
	for _, words := range said {
		if !strings.Contains(got.Err, words) {
			t.Errorf("wisp says %q and leaves out Keycloak's %q", got.Err, words)
		}
	}
}
