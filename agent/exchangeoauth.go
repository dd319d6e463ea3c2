package agent

import (
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/oauthsts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// oauthExchange is any other token service of RFC 8693.
type oauthExchange struct {
	TokenURL           string            `yaml:"tokenUrl" doc:"URL of the token endpoint (required)"`
	Audience           []string          `yaml:"audience" doc:"names of the services that the token is for, as the endpoint knows them"`
	Resource           []string          `yaml:"resource" doc:"their URIs, for endpoints that want those"`
	Scopes             []string          `yaml:"scopes" doc:"scopes of the default token (default: none is sent)"`
	SubjectTokenType   string            `yaml:"subjectTokenType" doc:"RFC 8693 token type URI to send (default: that of the source)"`
	RequestedTokenType string            `yaml:"requestedTokenType" doc:"RFC 8693 token type URI of what is wanted (default: the endpoint decides)"`
	ClientAuth         string            `yaml:"clientAuth" doc:"how the client proves who it is: none, basic, post or private_key_jwt (default basic with a secret, private_key_jwt with a key, else none)"`
	ClientID           string            `yaml:"clientId" doc:"id of the client (required unless clientAuth is none)"`
	ClientSecretFile   string            `yaml:"clientSecretFile" doc:"absolute path of the file with its secret, read for each exchange"`
	PrivateKeyFile     string            `yaml:"privateKeyFile" doc:"absolute path of the PEM file with its key, read for each exchange: RSA, P-256, P-384, P-521 or Ed25519"`
	KeyID              string            `yaml:"keyId" doc:"kid by which the endpoint knows the key"`
	SigningAlgorithm   string            `yaml:"signingAlgorithm" doc:"RS256, PS256, ES256, ES384, ES512 or EdDSA (default: what the key is made for, RS256 for RSA)"`
	AssertionAudience  string            `yaml:"assertionAudience" doc:"aud of the client's assertion (default: tokenUrl); some endpoints want their issuer's URL"`
	Parameters         map[string]string `yaml:"parameters" doc:"further form parameters, such as Keycloak's subject_issuer"`
	AssumedLifetime    time.Duration     `yaml:"assumedLifetime" doc:"how long tokens live of which neither the endpoint nor the token itself says it, 1m to 24h (default: such tokens are refused)"`
}

func (o *oauthExchange) options(transport *upstream.Transport) oauthsts.Options {
	return oauthsts.Options{
		TokenURL: o.TokenURL, Audience: o.Audience, Resource: o.Resource, Scopes: o.Scopes,
		SubjectTokenType: o.SubjectTokenType, RequestedTokenType: o.RequestedTokenType,
		ClientAuth: o.ClientAuth, ClientID: o.ClientID, ClientSecretFile: o.ClientSecretFile,
		PrivateKeyFile: o.PrivateKeyFile, KeyID: o.KeyID, SigningAlgorithm: o.SigningAlgorithm, AssertionAudience: o.AssertionAudience,
		Parameters: o.Parameters, AssumedLifetime: o.AssumedLifetime, Transport: transport,
	}
}

func (o *oauthExchange) check(transport *upstream.Transport) []refresher.FieldError {
	return o.options(transport).Check()
}

func (o *oauthExchange) exchanger(s surroundings) (refresher.Exchanger, error) {
	return made(oauthsts.New(o.options(s.transport)))
}

// takes: a signed AWS request is Google's own invention.
func (o *oauthExchange) takes(tokenType string) bool { return tokenType != refresher.TypeAWSRequest }

func (o *oauthExchange) yields() shape           { return oauthBearer }
func (o *oauthExchange) floor() time.Duration    { return floorOAuth }
func (o *oauthExchange) lifetime() time.Duration { return 0 }

// audiences: every authorization server has rules of its own.
func (o *oauthExchange) audiences() []string { return nil }
