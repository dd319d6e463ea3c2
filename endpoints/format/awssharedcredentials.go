package format

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// profileName is what all AWS SDKs take for the name of a section; their parsers differ on spaces,
// quotes and the rest. The prefix "profile " belongs into the config file only.
var profileName = regexp.MustCompile(`^[A-Za-z0-9_\-/.%@:+]+$`)

// awsSharedCredentials is a file for AWS_SHARED_CREDENTIALS_FILE with one section:
//
//	# expires 2030-01-02T03:04:05Z
//	[default]
//	aws_access_key_id = ASIA…
//	aws_secret_access_key = …
//	aws_session_token = …
//	aws_account_id = 123456789012
//
// There is no key for the expiry that SDKs would know, hence the comment. It has a line of its own
// because several parsers keep a comment behind a value as part of it. aws_security_token, the old
// name of the session token, must not appear: botocore reads it first.
// Source: https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
func awsSharedCredentials(c refresher.Credential, o Options) ([]byte, error) {
	key, err := shape[refresher.AccessKey]("awsSharedCredentials", c)
	if err != nil {
		return nil, err
	}
	if err := checkAccessKey(key); err != nil {
		return nil, err
	}
	profile := cmp.Or(o.Profile, "default")
	if !profileName.MatchString(profile) {
		return nil, errors.New("the profile's name cannot be that of a section")
	}
	var text strings.Builder
	if expires := stamp(c.Expires); expires != "" {
		fmt.Fprintf(&text, "# expires %s\n", expires)
	}
	fmt.Fprintf(&text, "[%s]\n", profile)
	fmt.Fprintf(&text, "aws_access_key_id = %s\n", key.ID)
	fmt.Fprintf(&text, "aws_secret_access_key = %s\n", key.Secret.Reveal())
	fmt.Fprintf(&text, "aws_session_token = %s\n", key.SessionToken.Reveal())
	if key.AccountID != "" {
		fmt.Fprintf(&text, "aws_account_id = %s\n", key.AccountID)
	}
	return []byte(text.String()), nil
}
