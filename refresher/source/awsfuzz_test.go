package source

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/wisp-sidecar/wisp/refresher"
)

const awsDocument = `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalrXUtnFEMI/K7MDENG",` +
	`"Token":"IQoJb3JpZ2lu+/==","Expiration":"2026-01-02T03:04:05Z"}`

// awsKeyErrors are all that is said about a document that gives no reason itself.
var awsKeyErrors = []string{
	"not a JSON object of strings",
	"the access key lacks its id or its secret",
	"the access key has white space or other characters that are none of a key",
	"the access key is a temporary one (ASIA…) without its session token",
	"its Expiration is not a time such as 2026-01-02T03:04:05Z",
}

func FuzzAWSKeyDocument(f *testing.F) {
	for _, text := range []string{
		awsDocument,
		strings.Replace(awsDocument, `"Code":"Success",`, "", 1),
		strings.Replace(awsDocument, "Success", "AssumeRoleUnauthorizedAccess", 1),
		strings.Replace(awsDocument, "EXAMPLE", "EXAMPLE\\n", 1),
		strings.Replace(awsDocument, `"2026-01-02T03:04:05Z"`, `"2026"`, 1),
		strings.Replace(awsDocument, `"2026-01-02T03:04:05Z"`, `1767323045`, 1),
		strings.Replace(awsDocument, `"Token"`, `"SessionToken"`, 1),
		`{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"x"}`,
		"null", "[]", "{}", "", "<html>", awsDocument + "{}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		key, expires, err := parseAWSKey(text)
		if err != nil {
			if !errors.Is(err, errNoKey) && !slices.Contains(awsKeyErrors, err.Error()) {
				t.Errorf("the error %q may quote the document", err)
			}
			refuseUnprintable(t, err.Error())
			return
		}
		for _, part := range []string{key.ID, key.Secret.Reveal(), key.SessionToken.Reveal()} {
			if strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("accepted %q", part)
			}
		}
		if key.ID == "" || key.Secret == "" {
			t.Error("accepted half a key")
		}
		again := map[string]string{"AccessKeyId": key.ID, "SecretAccessKey": key.Secret.Reveal(), "Token": key.SessionToken.Reveal()}
		if !expires.IsZero() {
			again["Expiration"] = expires.Format(time.RFC3339Nano)
		}
		document, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if key2, expires2, err := parseAWSKey(document); err != nil || key2 != key || !expires2.Equal(expires) {
			t.Errorf("what was read does not survive being written: %v", err)
		}
	})
}

func FuzzEC2Metadata(f *testing.F) {
	for _, text := range []string{
		"reports", "reports\nother\n", " reports\r\n", "", "..", "a/b", "<html>", strings.Repeat("r", 65), "роль",
		"eu-west-1", "eu-west-1a", "us-gov-west-1b\n", "us-west-2-lax-1a", "us-east-1-wl1-bos-wlz-1", "eu-west", "eu-west-1/..", "eu-west-1.evil",
	} {
		f.Add([]byte(text))
	}
	role := regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := roleOf(text); err == nil && (!role.MatchString(got) || !strings.Contains(string(text), got)) {
			t.Errorf("roleOf(%q) = %q", text, got)
		}
		got, err := regionOf(text)
		if err != nil {
			return
		}
		if !awsRegion.MatchString(got) || !strings.HasPrefix(string(trim(text)), got) {
			t.Errorf("regionOf(%q) = %q", text, got)
		}
		if again, err := regionOf([]byte(got)); err != nil || again != got {
			t.Errorf("regionOf(%q) = %q, %v, want the same again", got, again, err)
		}
	})
}

func FuzzContainerRefusal(f *testing.F) {
	for _, body := range []string{
		`{"code":"AccessDenied","message":"not for container-1"}`, `{"message":null}`, `{"code":1}`, "[]", "", " <html>", "container-1\n",
		"Access denied: eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln",
		"con\x9c\x9ctainer-1", // what is dropped must not put the token together again
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const token = "container-1"
		e := &refresher.Error{Class: refresher.Settling, Err: errors.New("HTTP status 403")}
		explainContainer(403, body, token, e)
		if strings.Contains(e.Error(), token) {
			t.Errorf("the error %q shows the token", e)
		}
		refuseUnprintable(t, e.Error())
	})
}

func refuseUnprintable(t *testing.T, text string) {
	t.Helper()
	if len(text) > 700 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q is no line for a log", text)
	}
}
