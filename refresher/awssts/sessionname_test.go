package awssts_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sentSessionName is the RoleSessionName that an exchange of a token with these claims sends.
func sentSessionName(t *testing.T, claims string) string {
	t.Helper()
	var name string
	x := exchanger(t, awssts.Options{}, func(r *http.Request) (*http.Response, error) {
		_ = r.ParseForm()
		name = r.PostForm.Get("RoleSessionName")
		return nil, errors.New("enough seen")
	})
	_, _ = x.Exchange(t.Context(), token(claims), refresher.Target{})
	return name
}

func podClaims(namespace, account, pod string) string {
	return fmt.Sprintf(`{"exp":2000000000,"sub":"system:serviceaccount:%[1]s:%[2]s",
		"kubernetes.io":{"namespace":%[1]q,"serviceaccount":{"name":%[2]q},"pod":{"name":%[3]q}}}`, namespace, account, pod)
}

// CloudTrail, MSK and people's queries see these names: they must not change.
func TestSessionNames(t *testing.T) {
	tests := []struct{ name, claims string }{
		{"a pod", podClaims("shop", "reports", "reports-0")},
		{"a token not bound to a pod", podClaims("shop", "reports", "")},
		{"dots stay", podClaims("shop", "reports.v2", "reports.v2-0")},
		{"exactly 64", podClaims("shop", "reports", strings.Repeat("p", 51))},
		{"65 is shortened", podClaims("shop", "reports", strings.Repeat("p", 52))},
		{"long names that differ at the end: first", podClaims("shop", "reports", strings.Repeat("p", 60)+"-aaaaa")},
		{"long names that differ at the end: second", podClaims("shop", "reports", strings.Repeat("p", 60)+"-bbbbb")},
		{"a GitHub subject", `{"exp":2000000000,"sub":"repo:octo-org/octo-repo:ref:refs/heads/main"}`},
		{"an address as subject", `{"exp":2000000000,"sub":"someone@example.com"}`},
		{"another script", `{"exp":2000000000,"sub":"отчёты"}`},
		{"one character", `{"exp":2000000000,"sub":"7"}`},
		{"no subject", `{"exp":2000000000}`},
		{"not a JWT", `[]`},
	}
	var got strings.Builder
	for _, tt := range tests {
		name := sentSessionName(t, tt.claims)
		if !regexp.MustCompile(`^[\w+=,.@-]{2,64}$`).MatchString(name) {
			t.Errorf("%s: session name %q, which STS would refuse", tt.name, name)
		}
		fmt.Fprintf(&got, "%s: %s\n", tt.name, name)
	}
	golden := filepath.Join("testdata", "sessionnames.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("session names changed:\n%s\nwant:\n%s", got.String(), want)
	}
}
