package source_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

var _ source.AWSKeys = (*source.AWSAmbient)(nil)

// env is an environment.
type env map[string]string

func (e env) get(name string) string { return e[name] }

const (
	fullURI   = "http://169.254.170.23/v1/credentials"
	metadata  = "http://169.254.169.254/latest/"
	zoneURL   = metadata + "meta-data/placement/availability-zone"
	rolesURL  = metadata + "meta-data/iam/security-credentials"
	tokensURL = metadata + "api/token"
)

func TestWhichAWSKeysAreUsed(t *testing.T) {
	key := env{"AWS_ACCESS_KEY_ID": userKey.ID, "AWS_SECRET_ACCESS_KEY": userKey.Secret.Reveal()}
	full := env{"AWS_CONTAINER_CREDENTIALS_FULL_URI": fullURI}
	relative := env{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}
	disabled := env{"AWS_EC2_METADATA_DISABLED": "TRUE"}
	document := source.AWSAmbientOptions{RegionURL: zoneURL, CredentialsURL: rolesURL, SessionTokenURL: tokensURL}
	for _, c := range []struct {
		name    string
		options source.AWSAmbientOptions
		env     env
		want    string // empty: refused
	}{
		{"nothing leads to the instance", source.AWSAmbientOptions{}, nil, source.AWSInstance},
		{"a key comes first", source.AWSAmbientOptions{}, merge(key, full, relative), source.AWSEnvironment},
		{"then a container", source.AWSAmbientOptions{}, full, source.AWSContainer},
		{"of ECS", source.AWSAmbientOptions{}, relative, source.AWSContainer},
		{"a container need not ask the instance", source.AWSAmbientOptions{}, merge(full, disabled), source.AWSContainer},
		{"the choice counts more", source.AWSAmbientOptions{Use: source.AWSInstance}, merge(key, full), source.AWSInstance},
		{"also for a container", source.AWSAmbientOptions{Use: source.AWSContainer}, merge(key, full), source.AWSContainer},
		{"a document knows the instance", document, nil, source.AWSInstance},
		{"a document knows no container", document, full, source.AWSInstance},
		{"a document prefers the environment", document, merge(key, full), source.AWSEnvironment},
		{"a document says where to ask, whatever else is off", document, disabled, source.AWSInstance},
		{"the instance is off", source.AWSAmbientOptions{}, disabled, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Getenv, c.options.Transport = c.env.get, transport(t, answers(500, ""))
			a, err := source.NewAWSAmbient(c.options)
			switch {
			case c.want == "" && err == nil:
				t.Errorf("NewAWSAmbient uses the %s, want a refusal", a.Place())
			case c.want != "" && err != nil:
				t.Errorf("NewAWSAmbient: %v, want %s", err, c.want)
			case c.want != "" && a.Place() != c.want:
				t.Errorf("Place() = %s, want %s", a.Place(), c.want)
			}
		})
	}
	if _, err := source.NewAWSAmbient(source.AWSAmbientOptions{Getenv: key.get}); err == nil {
		t.Error("NewAWSAmbient takes no Transport")
	}
}

func merge(all ...env) env {
	merged := env{}
	for _, e := range all {
		for name, value := range e {
			merged[name] = value
		}
	}
	return merged
}

func TestAWSAmbientOptions(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		name    string
		options source.AWSAmbientOptions
		env     env
	}{
		{"no such place", source.AWSAmbientOptions{Use: "lambda"}, nil},
		{"a secret without an id", source.AWSAmbientOptions{}, env{"AWS_SECRET_ACCESS_KEY": secret}},
		{"an id without a secret", source.AWSAmbientOptions{}, env{"AWS_ACCESS_KEY_ID": "AKIA" + secret}},
		{"half a key, with a document", source.AWSAmbientOptions{CredentialsURL: rolesURL}, env{"AWS_ACCESS_KEY_ID": "AKIA" + secret}},
		{"a line feed", source.AWSAmbientOptions{}, env{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": secret + "\n"}},
		{"a temporary key without its session token", source.AWSAmbientOptions{}, env{"AWS_ACCESS_KEY_ID": "ASIA" + secret, "AWS_SECRET_ACCESS_KEY": secret}},
		{"no key where one has to be", source.AWSAmbientOptions{Use: source.AWSEnvironment}, nil},
		{"no container where one has to be", source.AWSAmbientOptions{Use: source.AWSContainer}, nil},
		{"a container's endpoint on a router's other side", source.AWSAmbientOptions{}, env{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.0.0.1/" + secret}},
		{"a container's endpoint that is no URL", source.AWSAmbientOptions{}, env{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "/" + secret}},
		{"a relative one with a space", source.AWSAmbientOptions{}, env{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/ " + secret}},
		{"the instance is off", source.AWSAmbientOptions{Use: source.AWSInstance}, env{"AWS_EC2_METADATA_DISABLED": "true"}},
		{"metadata on a router's other side", source.AWSAmbientOptions{}, env{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://metadata.example/"}},
		{"metadata with a query", source.AWSAmbientOptions{}, env{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1/?x"}},
		{"a document of far-off places", source.AWSAmbientOptions{
			RegionURL: "http://evil.example/zone", CredentialsURL: "http://evil.example/roles", SessionTokenURL: "ftp://169.254.169.254/",
		}, nil},
		{"a document without the URL of credentials", source.AWSAmbientOptions{RegionURL: zoneURL}, nil},
	} {
		c.options.Getenv = c.env.get
		list := c.options.Check()
		if len(list) == 0 {
			t.Errorf("%s: nothing is wrong", c.name)
		}
		b.WriteString(problems(c.name, list))
	}
	if strings.Contains(b.String(), secret) {
		t.Error("a problem shows a secret")
	}
	golden(t, "aws_ambient_options", b.String())
}

// metadataService is an instance's, as a table from "METHOD path" to an answer's status and body.
func metadataService(t testing.TB, change map[string]string) *wire {
	table := map[string]string{
		"PUT /latest/api/token":                                    "200 " + secret,
		"GET /latest/meta-data/iam/security-credentials":           "200 reports",
		"GET /latest/meta-data/iam/security-credentials/reports":   "200 " + keyDocument(sessionKey, "2099-01-02T03:04:05Z"),
		"GET /latest/meta-data/placement/region":                   "200 eu-west-1",
		"GET /latest/meta-data/placement/availability-zone":        "200 eu-west-1c",
		"GET /latest/meta-data/iam/security-credentials/elsewhere": "404 ",
	}
	for name, answer := range change {
		if _, ok := table[name]; !ok {
			t.Fatalf("%s is nothing that is asked for", name)
		}
		table[name] = answer
	}
	return &wire{answer: func(r *http.Request) (*http.Response, error) {
		answer, ok := table[r.Method+" "+r.URL.Path]
		if !ok {
			answer = "404 " + page
		}
		if answer == "silence" {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		var status int
		code, body, _ := strings.Cut(answer, " ")
		if _, err := fmt.Sscan(code, &status); err != nil {
			return nil, err
		}
		return response(r, status, io.NopCloser(strings.NewReader(body)), "Location", "http://evil.example/"), nil
	}}
}

func keyDocument(key refresher.AccessKey, expiration string) string {
	return fmt.Sprintf(`{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
		key.ID, key.Secret.Reveal(), key.SessionToken.Reveal(), expiration)
}

// signing is a source with ambient keys.
func signing(t testing.TB, base http.RoundTripper, o source.AWSAmbientOptions, e env) *source.AWSCallerIdentity {
	t.Helper()
	o.Getenv, o.Transport = e.get, transport(t, base)
	keys, err := source.NewAWSAmbient(o)
	if err != nil {
		t.Fatal(err)
	}
	return callerIdentity(t, source.AWSCallerIdentityOptions{Keys: keys})
}

func TestRequestsForAWSKeys(t *testing.T) {
	authorization := filepath.Join(t.TempDir(), "token")
	write(t, authorization, "of-the-file\n")
	good := answers(200, keyDocument(sessionKey, "2099-01-02T03:04:05Z"))
	var b strings.Builder
	for _, c := range []struct {
		name    string
		wire    *wire
		options source.AWSAmbientOptions
		env     env
	}{
		{"the instance", metadataService(t, nil), source.AWSAmbientOptions{}, nil},
		{"the instance of a known region", metadataService(t, nil), source.AWSAmbientOptions{}, env{"AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "eu-west-1"}},
		{"the instance somewhere else", metadataService(t, nil), source.AWSAmbientOptions{}, env{
			"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1338/", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6",
		}},
		{"the instance in IPv6", metadataService(t, nil), source.AWSAmbientOptions{}, env{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ipv6"}},
		{"a document", metadataService(t, nil), source.AWSAmbientOptions{RegionURL: zoneURL, CredentialsURL: rolesURL, SessionTokenURL: tokensURL}, nil},
		{"a document without session tokens", metadataService(t, nil), source.AWSAmbientOptions{RegionURL: zoneURL, CredentialsURL: rolesURL}, nil},
		{"a document whose key is in the environment", metadataService(t, nil), source.AWSAmbientOptions{RegionURL: zoneURL}, env{
			"AWS_ACCESS_KEY_ID": userKey.ID, "AWS_SECRET_ACCESS_KEY": userKey.Secret.Reveal(),
		}},
		{"a container with a file", good, source.AWSAmbientOptions{}, env{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI":     fullURI + "?a=b",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": authorization,
			"AWS_CONTAINER_AUTHORIZATION_TOKEN":      "of the variable",
			"AWS_DEFAULT_REGION":                     "eu-west-1",
		}},
		{"a container without a file", good, source.AWSAmbientOptions{}, env{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI":     "http://localhost:9911/aws",
			"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN":      "of the variable",
			"AWS_REGION":                             "eu-west-1",
		}},
		{"a container without a token", good, source.AWSAmbientOptions{}, env{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1]:9911/aws", "AWS_REGION": "eu-west-1",
		}},
		{"the environment asks nobody", metadataService(t, nil), source.AWSAmbientOptions{}, env{
			"AWS_ACCESS_KEY_ID": sessionKey.ID, "AWS_SECRET_ACCESS_KEY": sessionKey.Secret.Reveal(),
			"AWS_SESSION_TOKEN": sessionKey.SessionToken.Reveal(), "AWS_REGION": "eu-west-1",
		}},
	} {
		c.wire.requests = nil
		token, err := signing(t, c.wire, c.options, c.env).Token(t.Context())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		signed, _ := decodeSigned(t, token.Raw.Reveal())
		fmt.Fprintf(&b, "# %s: %s\n%s\n", c.name, signed.URL, c.wire.said())
	}
	golden(t, "aws_key_requests", b.String())
}

func TestRegionOfAnInstance(t *testing.T) {
	for _, c := range []struct{ said, want string }{
		{"eu-west-1", "eu-west-1"},
		{"eu-west-1a\n", "eu-west-1"},
		{"us-gov-east-1b", "us-gov-east-1"},
		{"ap-southeast-10a", "ap-southeast-10"},
		{"us-west-2-lax-1a", "us-west-2"},
		{"us-east-1-wl1-bos-wlz-1", "us-east-1"},
	} {
		t.Run(c.said, func(t *testing.T) {
			w := metadataService(t, map[string]string{"GET /latest/meta-data/placement/region": "200 " + c.said})
			keys, err := source.NewAWSAmbient(source.AWSAmbientOptions{Getenv: env{}.get, Transport: transport(t, w)})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := keys.AWSRegion(t.Context()); err != nil || got != c.want {
				t.Errorf("AWSRegion() = %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestAuthorizationOfAContainerIsReadEachTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	w := answers(200, keyDocument(sessionKey, ""))
	s := signing(t, w, source.AWSAmbientOptions{}, env{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": fullURI, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": path, "AWS_REGION": "eu-west-1",
	})
	for _, want := range []string{"first", "second"} {
		write(t, path, want)
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.requests[len(w.requests)-1].Header.Get("Authorization"); got != want {
			t.Errorf("Authorization: %s, want %s", got, want)
		}
	}
}

func TestAWSKeysAreNotPrinted(t *testing.T) {
	e := env{"AWS_ACCESS_KEY_ID": sessionKey.ID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": secret, "AWS_REGION": "eu-west-1"}
	s := signing(t, answers(500, ""), source.AWSAmbientOptions{}, e)
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %v %+v %#v", s, s, s, token, token, token)
	if slices.ContainsFunc([]string{secret, "AWS4-HMAC"}, func(s string) bool { return strings.Contains(out.String(), s) }) {
		t.Errorf("printed: %s", out.String())
	}
}
