package format

import "github.com/wisp-sidecar/wisp/refresher"

// token is the bearer token and nothing else, without a line feed: some readers send what they read
// as it is. Examples of readers are gcloud's auth/access_token_file and everything that expects the
// file of AWS_WEB_IDENTITY_TOKEN_FILE or AZURE_FEDERATED_TOKEN_FILE.
func token(c refresher.Credential, _ Options) ([]byte, error) {
	bearer, err := shape[refresher.Bearer]("token", c)
	if err != nil {
		return nil, err
	}
	text := bearer.Token.Reveal()
	if err := check(part{"token", text}); err != nil {
		return nil, err
	}
	return []byte(text), nil
}
