package format

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// awsConfig is a file for AWS_CONFIG_FILE with one section, whose credentials come from a command, wisp
// itself:
//
//	[profile reports]
//	region = eu-west-1
//	credential_process = /usr/bin/wisp credential-process reports --config /etc/wisp/config.yaml
//
// It shows nothing of the credential, and there need not be one yet. The section's
// name has the prefix "profile ", unlike in the shared credentials file.
// Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
func awsConfig(c refresher.Credential, o Options) ([]byte, error) {
	if c.Value != nil {
		if _, err := shape[refresher.AccessKey]("awsConfig", c); err != nil {
			return nil, err
		}
	}
	command, err := o.Process.command()
	if err != nil {
		return nil, err
	}
	if o.Profile != "" && !profileName.MatchString(o.Profile) {
		return nil, errors.New("the profile's name cannot be that of a section")
	}
	if o.Region != "" {
		if err := check(part{"region", o.Region}); err != nil {
			return nil, err
		}
	}
	section := "default"
	if name := cmp.Or(o.Profile, section); name != section {
		section = "profile " + name
	}
	var text strings.Builder
	fmt.Fprintf(&text, "[%s]\n", section)
	if o.Region != "" {
		fmt.Fprintf(&text, "region = %s\n", o.Region)
	}
	fmt.Fprintf(&text, "credential_process = %s\n", command)
	return []byte(text.String()), nil
}

// A Process is what a credential_process has to run: wisp, for one identity.
type Process struct {
	Executable string // absolute path of wisp
	Identity   string // name
	Config     string // absolute path of the configuration; empty if it is the environment
}

// command is the line. The SDKs do not agree on how to read it: botocore splits it as a shell would and
// runs the first word, and the others have a shell run it, which also knows variables, wildcards and
// much more. So all words have to be ones that mean themselves everywhere.
func (p Process) command() (string, error) {
	if p.Identity == "" || !filepath.IsAbs(p.Executable) || p.Config != "" && !filepath.IsAbs(p.Config) {
		return "", errors.New("a credential_process needs the absolute path of wisp, an identity, and the absolute path of a configuration if there is one")
	}
	words := []string{p.Executable, "credential-process", p.Identity}
	if p.Config != "" {
		words = append(words, "--config", p.Config)
	}
	for _, word := range words {
		if !consistsOf(word, "/._-+@,:") {
			return "", fmt.Errorf("a credential_process cannot have %q in it: some SDKs split it at blanks, some have a shell read it; use a path of letters, digits and / . _ - + @ , : only", word)
		}
	}
	return strings.Join(words, " "), nil
}

// Check reports why there can be no such command, or nil.
func (p Process) Check() error {
	_, err := p.command()
	return err
}
