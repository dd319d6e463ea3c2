package imds_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

// What is there, with a slash at the end or without, and with any number in front; and what is not.
func TestPaths(t *testing.T) {
	known := []string{
		"/latest", "/latest/meta-data", "/latest/meta-data/iam", "/latest/meta-data/iam/info",
		"/latest/meta-data/iam/security-credentials", "/latest/meta-data/iam/security-credentials/reports",
		"/latest/meta-data/placement", "/latest/meta-data/placement/region", "/latest/meta-data/placement/availability-zone",
		"/latest/meta-data/instance-id", "/latest/dynamic", "/latest/dynamic/instance-identity",
		"/latest/dynamic/instance-identity/document",
	}
	unknown := []string{
		"/", "/1.0/meta-data/", "/2021-07-15/meta-data/", "/Latest/meta-data/", "/debug/pprof/", "/latest/api", "/latest/api/",
		"/latest/user-data", "/latest/user-data/", "/latest/meta-data/tags", "/latest/meta-data/tags/instance/", "/latest/meta-data/network/",
		"/latest/meta-data/network/interfaces/macs/", "/latest/meta-data/ami-id", "/latest/meta-data/local-ipv4", "/latest/meta-data/services/domain",
		"/latest/meta-data/iam/security-credentials-extended/", "/latest/meta-data/iam/security-credentials-extended/reports",
		"/latest/meta-data/iam/security-credentials/other", "/latest/meta-data/iam/security-credentials/Reports",
		"/latest/meta-data/iam/security-credentials/reports/x", "/latest/meta-data/iam/security-credentials/reports%0A",
		"/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance", "/latest/dynamic/instance-identity/pkcs7",
		"/latest/../latest/meta-data/", "/latest/%2e%2e/latest/meta-data/", "/latest/meta-data%00", "/latest/meta-data;x", "/latest/meta-data%2f",
		"/latest/./meta-data/", "/latest//meta-data/", "/latest/meta-data//", "/latest/Meta-Data/",
	}
	x := newOutlet(t, full(endpointstest.YieldDefault(credential)))
	for _, path := range known {
		var first string
		for _, spelling := range []string{path, path + "/", "/" + path, "///" + path + "/"} {
			answer := x.get(spelling)
			text := endpointstest.Body(t, answer)
			if answer.StatusCode != http.StatusOK {
				t.Errorf("GET %s = %d %q, want 200", spelling, answer.StatusCode, text)
			}
			if first == "" {
				first = text
			} else if text != first {
				t.Errorf("GET %s = %q, and %s = %q", spelling, text, path, first)
			}
			if to := answer.Header.Get("Location"); to != "" {
				t.Errorf("GET %s redirects to %s", spelling, to)
			}
		}
	}
	for _, path := range unknown {
		if answer := x.get(path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, answer.StatusCode)
		}
	}
}

// What is not known is not made up.
func TestWithoutARegion(t *testing.T) {
	x := newOutlet(t, bare(endpointstest.YieldDefault(credential)))
	for _, path := range []string{
		"/latest/meta-data/placement/", "/latest/meta-data/placement/region", "/latest/meta-data/placement/availability-zone", document, "/latest/dynamic/",
		"/latest/meta-data/iam/info", "/latest/meta-data/instance-id",
	} {
		if answer := x.get(path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s = %d %q, want 404", path, answer.StatusCode, endpointstest.Body(t, answer))
		}
	}
	for _, path := range []string{roles, roles + role} {
		if answer := x.get(path); answer.StatusCode != http.StatusOK {
			t.Errorf("GET %s = %d, want 200", path, answer.StatusCode)
		}
	}
}

// Names and regions are put into URLs as they come.
func TestValuesEndWithoutALineBreak(t *testing.T) {
	x := newOutlet(t, full(endpointstest.YieldDefault(credential)))
	for path, want := range map[string]string{
		roles:                                role,
		"/latest/meta-data/placement/region": "eu-west-1",
		"/latest/meta-data/placement/availability-zone": "eu-west-1a",
		"/latest/meta-data/instance-id":                 "i-0123456789abcdef0",
		"/latest/meta-data/iam/":                        "info\nsecurity-credentials/",
	} {
		if got := endpointstest.Body(t, x.get(path)); got != want {
			t.Errorf("GET %s = %q, want %q", path, got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	tests := []struct {
		path  string
		allow string
		ok    []string
	}{
		{"/latest/api/token", "PUT", []string{"PUT"}},
		{"/latest/api/token/", "PUT", []string{"PUT"}},
		{roles, "GET, HEAD", []string{"GET", "HEAD"}},
		{roles + role, "GET, HEAD", []string{"GET", "HEAD"}},
		{document, "GET, HEAD", []string{"GET", "HEAD"}},
	}
	x := newOutlet(t, full(endpointstest.YieldDefault(credential)))
	for _, test := range tests {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			want, allow := http.StatusMethodNotAllowed, test.allow
			if slices.Contains(test.ok, method) {
				want, allow = http.StatusOK, ""
			}
			answer := x.ask(method + " " + test.path + " HTTP/1.1\nX-aws-ec2-metadata-token: TOKEN\nX-aws-ec2-metadata-token-ttl-seconds: 60")
			if answer.StatusCode != want || answer.Header.Get("Allow") != allow {
				t.Errorf("%s %s = %d, Allow %q, want %d, %q", method, test.path, answer.StatusCode, answer.Header.Get("Allow"), want, allow)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	x := newOutlet(t, full(endpointstest.YieldDefault(credential)))
	for host, want := range map[string]int{
		"127.0.0.1:9911": 200, "127.0.0.1": 200, "localhost:9911": 200, "169.254.169.254": 200, "169.254.169.254:9911": 200,
		"[fd00:ec2::254]": 200, "[fd00:ec2::254]:9911": 200, "[FD00:EC2::254]": 200,
		"169.254.169.254:80": 403, "169.254.170.2": 403, "[fd00:ec2::23]": 403, "attacker.example": 403, "127.0.0.1.nip.io:9911": 403,
	} {
		if answer := x.ask("GET " + roles + " HTTP/1.1\nHost: " + host + "\nX-aws-ec2-metadata-token: TOKEN"); answer.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, answer.StatusCode, want)
		}
		if answer := x.ask("PUT /latest/api/token HTTP/1.1\nHost: " + host + "\nX-aws-ec2-metadata-token-ttl-seconds: 60"); answer.StatusCode != want {
			t.Errorf("PUT with Host %s: %d, want %d", host, answer.StatusCode, want)
		}
	}
}
