package format

import "github.com/wisp-sidecar/wisp/refresher"

// credentialProcess is what a credential_process command of AWS prints: one JSON object. Version is
// the number 1; several SDKs refuse the string.
// Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
func credentialProcess(c refresher.Credential, _ Options) ([]byte, error) {
	key, err := shape[refresher.AccessKey]("credentialProcess", c)
	if err != nil {
		return nil, err
	}
	if err := checkAccessKey(key); err != nil {
		return nil, err
	}
	return encodeJSON(struct {
		Version         int
		AccessKeyId     string
		SecretAccessKey string
		SessionToken    string
		Expiration      string `json:",omitempty"`
		AccountId       string `json:",omitempty"`
	}{1, key.ID, key.Secret.Reveal(), key.SessionToken.Reveal(), stamp(c.Expires), key.AccountID})
}
