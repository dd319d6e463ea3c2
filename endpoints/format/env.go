package format

import (
	"fmt"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// env is a file of variables, for docker run --env-file, systemd's EnvironmentFile and shells:
//
//	AWS_ACCESS_KEY_ID=ASIA…
//	AWS_SECRET_ACCESS_KEY=…
//	AWS_SESSION_TOKEN=…
//	AWS_REGION=eu-west-1
//	AWS_DEFAULT_REGION=eu-west-1
//	AWS_ACCOUNT_ID=123456789012
//	AWS_CREDENTIAL_EXPIRATION=2030-01-02T03:04:05Z
//
// The readers do not agree on quotes: docker takes them for a part of the value, and a shell needs them for
// characters that mean something to it. Values are of characters that need none, so that one form is
// right for all. The region is there twice because some SDKs read one name only and some the other, and
// the expiry because botocore and the SDK for JavaScript then say what is wrong when it is over.
// Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html,
// https://docs.docker.com/reference/cli/docker/container/run/#env
func env(c refresher.Credential, o Options) ([]byte, error) {
	key, err := shape[refresher.AccessKey]("env", c)
	if err != nil {
		return nil, err
	}
	if err := checkAccessKey(key); err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, variable := range []part{
		{"AWS_ACCESS_KEY_ID", key.ID},
		{"AWS_SECRET_ACCESS_KEY", key.Secret.Reveal()},
		{"AWS_SESSION_TOKEN", key.SessionToken.Reveal()},
		{"AWS_REGION", o.Region},
		{"AWS_DEFAULT_REGION", o.Region},
		{"AWS_ACCOUNT_ID", key.AccountID},
		{"AWS_CREDENTIAL_EXPIRATION", stamp(c.Expires)},
	} {
		if variable.value == "" {
			continue // what is left of them is not always known
		}
		if strings.ContainsFunc(variable.value, func(r rune) bool { return !letterOrDigit(r) && !strings.ContainsRune("/+=._:-", r) }) {
			return nil, fmt.Errorf("%s would have a character that means something to shells", variable.name)
		}
		fmt.Fprintf(&text, "%s=%s\n", variable.name, variable.value)
	}
	return []byte(text.String()), nil
}
