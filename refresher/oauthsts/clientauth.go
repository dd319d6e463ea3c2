package oauthsts

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// How a client proves who it is, for [Options.ClientAuth]. The names in brackets are those of
// "token_endpoint_auth_methods_supported" (RFC 8414 section 2).
const (
	AuthNone          = "none"            // [none] a public client: its id in the form, if it has one
	AuthBasic         = "basic"           // [client_secret_basic] id and secret in the Authorization header
	AuthPost          = "post"            // [client_secret_post] id and secret in the form
	AuthPrivateKeyJWT = "private_key_jwt" // [private_key_jwt] an assertion signed with the client's key (RFC 7523)
)

// checkClient checks what has to do with the client's proof.
func (o Options) checkClient() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, problem string) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: problem})
	}
	method := o.clientAuth()
	withSecret := method == AuthBasic || method == AuthPost
	withKey := method == AuthPrivateKeyJWT
	if method != AuthNone && !withSecret && !withKey {
		report("clientAuth", fmt.Sprintf("%q is not one of none, basic, post, private_key_jwt", method))
		return problems
	}

	if o.ClientID == "" && method != AuthNone {
		report("clientId", "is required with clientAuth "+method)
	}
	if !isPrintable(o.ClientID) {
		report("clientId", "holds control characters")
	}
	hasSecret := o.ClientSecret != "" || o.ClientSecretFile != ""
	switch {
	case o.ClientSecret != "" && o.ClientSecretFile != "":
		report("clientSecretFile", "is set besides clientSecret: one of them is the secret")
	case withSecret && !hasSecret:
		report("clientSecretFile", "is required with clientAuth "+method)
	case hasSecret && !withSecret:
		report("clientAuth", fmt.Sprintf("%s does not use the client secret that is set: choose basic or post, or leave the secret out", method))
	}
	if o.ClientSecretFile != "" && !filepath.IsAbs(o.ClientSecretFile) {
		report("clientSecretFile", "must be an absolute path")
	}
	switch {
	case withKey && o.PrivateKeyFile == "":
		report("privateKeyFile", "is required with clientAuth "+method)
	case o.PrivateKeyFile != "" && !withKey:
		report("clientAuth", fmt.Sprintf("%s does not use the private key that is set: choose private_key_jwt, or leave the key out", method))
	case o.PrivateKeyFile != "" && !filepath.IsAbs(o.PrivateKeyFile):
		report("privateKeyFile", "must be an absolute path")
	}
	return append(problems, o.checkAssertion(withKey)...)
}

// checkAssertion checks the options that only an assertion has.
func (o Options) checkAssertion(withKey bool) []refresher.FieldError {
	var problems []refresher.FieldError
	for _, only := range []struct{ field, value string }{
		{"keyId", o.KeyID}, {"signingAlgorithm", o.SigningAlgorithm}, {"assertionAudience", o.AssertionAudience},
	} {
		if only.value != "" && !withKey {
			problems = append(problems, refresher.FieldError{Field: only.field, Problem: "has no effect without privateKeyFile"})
		}
	}
	if withKey && o.SigningAlgorithm != "" && !slices.Contains(signingAlgorithms, o.SigningAlgorithm) {
		problems = append(problems, refresher.FieldError{
			Field:   "signingAlgorithm",
			Problem: fmt.Sprintf("%q is not one of %s", o.SigningAlgorithm, strings.Join(signingAlgorithms, ", ")),
		})
	}
	return problems
}

// clientAuth is the method, chosen or following from the rest. Basic is what every endpoint that
// knows secrets has to support (RFC 6749 section 2.3.1).
func (o Options) clientAuth() string {
	switch {
	case o.ClientAuth != "":
		return o.ClientAuth
	case o.ClientSecret != "" || o.ClientSecretFile != "":
		return AuthBasic
	case o.PrivateKeyFile != "":
		return AuthPrivateKeyJWT
	}
	return AuthNone
}

// authenticate adds the client's proof to the form or the header. It returns the client's secret, if
// it has one, so that nothing that is printed later repeats it.
func (x *Exchanger) authenticate(now time.Time, form url.Values, header http.Header) (refresher.Secret, error) {
	id := x.o.ClientID
	if id != "" && x.o.ClientAuth != AuthBasic {
		form.Set("client_id", id)
	}
	switch x.o.ClientAuth {
	case AuthBasic:
		secret, err := x.secret()
		if err != nil {
			return "", err
		}
		// RFC 6749 section 2.3.1: both are encoded like form fields first, so that a colon in the id
		// does not end it.
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return secret, nil
	case AuthPost:
		secret, err := x.secret()
		if err != nil {
			return "", err
		}
		form.Set("client_secret", secret.Reveal())
		return secret, nil
	case AuthPrivateKeyJWT:
		assertion, err := x.assertion(now)
		if err != nil {
			return "", err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion.Reveal())
	}
	return "", nil
}

// secretOf returns a function that yields the client's secret, which files hold with or without a
// line end.
func secretOf(o Options) func() (refresher.Secret, error) {
	if o.ClientSecretFile == "" {
		return func() (refresher.Secret, error) { return o.ClientSecret, nil }
	}
	return func() (refresher.Secret, error) {
		text, err := readFile(o.ClientSecretFile)
		if err != nil {
			return "", unusable("client secret file", o.ClientSecretFile, err)
		}
		secret := refresher.Secret(bytes.TrimSpace(text))
		if secret == "" {
			return "", unusable("client secret file", o.ClientSecretFile, errors.New("empty"))
		}
		return secret, nil
	}
}

// maxFile bounds what is read of a secret or a key: 64 KiB, several times the longest RSA key.
const maxFile = 64 << 10

// readFile reads a regular file of at most maxFile bytes. It never waits: opened non-blocking, a FIFO
// without a writer is refused like any other thing that is no file. Errors do not name the file.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	return text, nil
}

// bare leaves the path out of an error of package os.
func bare(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// unusable says that a file does not hold what it should.
func unusable(what, path string, err error) *refresher.Error {
	hint := "put the right file in its place: it is read again at the next attempt"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "mount the Secret into wisp's container, and compare the path with the mount's: the file is read again at the next attempt"
	case errors.Is(err, fs.ErrPermission):
		hint = "let the user that wisp runs as read the file: by its mode, or by the Pod's fsGroup"
	}
	return &refresher.Error{
		Class: refresher.Settling,
		Code:  CodeClientCredential,
		Err:   fmt.Errorf("%s %s: %w", what, path, err),
		Hint:  hint,
	}
}
