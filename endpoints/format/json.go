package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// jsonDocument is wisp's own document, for scripts. It is one line, one JSON object, and its "type"
// tells the two shapes apart:
//
//	{"type":"awsAccessKey","accessKeyId":"ASIA…","secretAccessKey":"…","sessionToken":"…","accountId":"123456789012","expiresAt":"2030-01-02T03:04:05Z"}
//	{"type":"bearer","token":"…","tokenType":"urn:ietf:params:oauth:token-type:access_token","expiresAt":"2030-01-02T03:04:05Z"}
//
// tokenType is a token type URI of RFC 8693 section 3: a bearer may also be an ID token, or a subject
// token that is passed on. Times are RFC 3339 in UTC, in whole seconds. accountId, tokenType and
// expiresAt are left out if they are not known. Members may be added, none is removed or renamed.
func jsonDocument(c refresher.Credential, _ Options) ([]byte, error) {
	if key, ok := c.Value.(refresher.AccessKey); ok {
		if err := checkAccessKey(key); err != nil {
			return nil, err
		}
		return encodeJSON(struct {
			Type            string `json:"type"`
			AccessKeyID     string `json:"accessKeyId"`
			SecretAccessKey string `json:"secretAccessKey"`
			SessionToken    string `json:"sessionToken"`
			AccountID       string `json:"accountId,omitempty"`
			ExpiresAt       string `json:"expiresAt,omitempty"`
		}{"awsAccessKey", key.ID, key.Secret.Reveal(), key.SessionToken.Reveal(), key.AccountID, stamp(c.Expires)})
	}
	bearer, err := shape[refresher.Bearer]("json", c)
	if err != nil {
		return nil, err
	}
	if err := check(part{"token", bearer.Token.Reveal()}); err != nil {
		return nil, err
	}
	return encodeJSON(struct {
		Type      string `json:"type"`
		Token     string `json:"token"`
		TokenType string `json:"tokenType,omitempty"`
		ExpiresAt string `json:"expiresAt,omitempty"`
	}{"bearer", bearer.Token.Reveal(), bearer.Type, stamp(c.Expires)})
}

// encodeJSON encodes v as one line. <, > and & stay as they are: some scripts search JSON as text.
func encodeJSON(v any) ([]byte, error) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return line.Bytes(), nil
}

// ParseJSON reads what the format "json" has written. Members that it does not know are ignored.
func ParseJSON(text []byte) (refresher.Credential, error) {
	var d struct {
		Type            string    `json:"type"`
		AccessKeyID     string    `json:"accessKeyId"`
		SecretAccessKey string    `json:"secretAccessKey"`
		SessionToken    string    `json:"sessionToken"`
		AccountID       string    `json:"accountId"`
		Token           string    `json:"token"`
		TokenType       string    `json:"tokenType"`
		ExpiresAt       time.Time `json:"expiresAt"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return refresher.Credential{}, errors.New("this is not a credential in JSON") // err may quote it
	}
	c := refresher.Credential{Expires: d.ExpiresAt}
	switch d.Type {
	case "awsAccessKey":
		key := refresher.AccessKey{
			ID: d.AccessKeyID, Secret: refresher.Secret(d.SecretAccessKey), SessionToken: refresher.Secret(d.SessionToken), AccountID: d.AccountID,
		}
		c.Value = key
		return c, checkAccessKey(key)
	case "bearer":
		c.Value = refresher.Bearer{Token: refresher.Secret(d.Token), Type: d.TokenType}
		return c, check(part{"token", d.Token})
	}
	return refresher.Credential{}, errors.New("this credential is of a type that is not known")
}
