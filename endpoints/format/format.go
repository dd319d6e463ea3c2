// Package format turns a credential into the bytes that other programs read from a file or from
// standard output. A format is one file of this package, a pure function, and one line in [Formats].
//
// Values are checked, not quoted: what a cloud gives is visible ASCII, and anything else (a line
// break above all, which would let a value write lines of its own) is an error. Errors never show a
// value.
package format

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A Format is one way of writing a credential down.
type Format struct {
	// Encode returns the whole content of a file. It fails for a credential of a shape that the
	// format does not accept, and for one with a value that cannot be written safely.
	Encode func(refresher.Credential, Options) ([]byte, error)
	// AccessKey and Bearer say which shapes of credential the format accepts.
	AccessKey, Bearer bool
	// Public says that the content shows nothing of the credential: it outlives it, and can be had without
	// one, of the zero Credential.
	Public bool
	// Answer says that what Encode returns answers one question, asked now: it is for programs to print,
	// and a file with it would soon be wrong.
	Answer bool
}

// Options are what the formats can be told. The zero value is right for all of them, except that awsConfig
// needs Process, and execCredential of an access key Cluster, STSHost and STSRegion. Formats ignore what is
// not for them.
type Options struct {
	// Profile is the section of an AWS shared credentials or config file; empty means "default". [Check]
	// refuses it for other formats.
	Profile string
	// Region is what awsConfig and env name as the region to work in: "eu-west-1". Empty if it is not known.
	Region string
	// Process is what awsConfig has run.
	Process Process
	// Cluster is the name of the EKS cluster that an execCredential is for.
	Cluster string
	// STSHost is the host name of the STS that the cluster is to ask who has signed:
	// "sts.eu-west-1.amazonaws.com". It has to be in the cluster's partition. STSRegion is the one that
	// requests to it are signed for.
	STSHost, STSRegion string
	// ExecInfo is what client-go gives to its plugins in KUBERNETES_EXEC_INFO, for an execCredential;
	// empty means version v1.
	ExecInfo string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Formats are all formats, by the names that configurations and the command line use.
var Formats = map[string]Format{
	"awsConfig":            {Encode: awsConfig, AccessKey: true, Public: true},
	"awsSharedCredentials": {Encode: awsSharedCredentials, AccessKey: true},
	"credentialProcess":    {Encode: credentialProcess, AccessKey: true},
	"env":                  {Encode: env, AccessKey: true},
	"execCredential":       {Encode: execCredential, AccessKey: true, Bearer: true, Answer: true},
	"executable":           {Encode: executable, Bearer: true, Answer: true},
	"json":                 {Encode: jsonDocument, AccessKey: true, Bearer: true},
	"token":                {Encode: token, Bearer: true},
}

// Names lists the formats in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(Formats)) }

// Check reports what is wrong with the choice of a format for a file, and with its options, in the fields
// "format" and "profile"; nil if nothing is.
func Check(name string, o Options) []refresher.FieldError {
	var problems []refresher.FieldError
	lasting := slices.DeleteFunc(Names(), func(name string) bool { return Formats[name].Answer })
	complain := func(field, problem string) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: problem})
	}
	if name == "" {
		complain("format", "is missing: one of "+strings.Join(lasting, ", "))
	} else if !slices.Contains(lasting, name) {
		complain("format", fmt.Sprintf("must be one of %s, not %q", strings.Join(lasting, ", "), name))
	}
	switch {
	case o.Profile == "":
	case name != "awsSharedCredentials" && name != "awsConfig":
		complain("profile", "has a meaning for the formats awsSharedCredentials and awsConfig only")
	case !profileName.MatchString(o.Profile):
		complain("profile", "must consist of letters, digits and any of _ - / . % @ : +")
	}
	return problems
}

// shape returns a credential's value as a V, or says that format cannot show it.
func shape[V refresher.Value](format string, c refresher.Credential) (V, error) {
	value, ok := c.Value.(V)
	if !ok {
		return value, fmt.Errorf("the format %s shows %s, and the credential is %s", format, describe(value), describe(c.Value))
	}
	return value, nil
}

func describe(v refresher.Value) string {
	switch v.(type) {
	case refresher.AccessKey:
		return "an AWS access key"
	case refresher.Bearer:
		return "a token"
	}
	return "nothing"
}

// A part is one named value of a credential.
type part struct{ name, value string }

// check refuses a credential with a part that is empty or more than visible ASCII: such a value is
// none that a cloud gives, and could break out of its place in a document.
func check(parts ...part) error {
	for _, p := range parts {
		if p.value == "" {
			return fmt.Errorf("the credential's %s is empty", p.name)
		}
		if strings.ContainsFunc(p.value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("the credential's %s has a character that is not visible ASCII", p.name)
		}
	}
	return nil
}

// checkAccessKey is check for an access key; an account that is not known may be empty.
func checkAccessKey(k refresher.AccessKey) error {
	parts := []part{
		{"access key ID", k.ID},
		{"secret access key", k.Secret.Reveal()},
		{"session token", k.SessionToken.Reveal()},
	}
	if k.AccountID != "" {
		parts = append(parts, part{"account ID", k.AccountID})
	}
	return check(parts...)
}

// stamp is a time as RFC 3339 in UTC, rounded down to the second; empty for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// consistsOf reports whether there are only ASCII letters, digits and some more characters in s.
func consistsOf(s, more string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(more, r)
	})
}
