package inject_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent/inject"
	"github.com/wisp-sidecar/wisp/agent/inject/injecttest"
)

// said is the refusal, or the patch and the warnings, in one line.
func said(t *testing.T, policy string, r inject.Request) string {
	t.Helper()
	p, err := inject.ParsePolicy([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	result, err := p.Inject(r)
	if err != nil {
		return err.Error()
	}
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a row of the table of Pods would be too long for: edges, and what makes no difference.
func TestEdges(t *testing.T) {
	const (
		policy   = `{"image": "wisp:dev", "linkLocal": true, "aws": {"region": "eu-west-1"}}`
		app      = `"containers": [{"name": "app"}]`
		bypassed = `"containers": [{"name": "app", "env": [{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/token"}, {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/g"}]}]`
		own      = `, "` + inject.Prefix
		document = own + `config": "{}"`
		refused  = "wisp cannot be injected: "
		azure    = own + `azure-client-id": "66666666-7777-8888-9999-000000000000"` + own + `azure-tenant-id": "shop.example"`
	)
	sysctl := func(value string) string {
		return app + `, "securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "` + value + `"}]}`
	}
	tooHigh := func(value string) string {
		return refused + "the Pod's sysctl net.ipv4.ip_unprivileged_port_start is '" + value + "', and link-local mode needs 80 or less"
	}
	list := func(entry string, n int, last string) string { return strings.Repeat(entry, n) + last }
	for _, test := range []struct {
		name, spec, annotations string
		want, not               string // parts of what is said; empty: any, none
	}{
		{"a list of outlets that is just not too long", app, own + `outlets": "` + list("imds,", 200, "") + `"`, `"WISP_OUTLETS","value":"imds"`, refused},
		{"one that is", app, own + `outlets": "` + list("imds,", 200, ",") + `"`, refused + "annotation wisp-sidecar.github.io/outlets is 'imds,imds", ""},
		{"one in which characters are more than a byte", app, own + `outlets": "` + list("é", 998, ",x") + `"`, "annotation wisp-sidecar.github.io/outlets is 'x'", ""},
		{"a list of containers that is just not too long", app, own + `skip-containers": "` + list("app;", 500, "") + `"`, `"op":"add"`, "AWS_REGION\",\"value\":\"eu-west-1\"},{\"name\":\"AWS_DEFAULT"},
		{"one that is, too", app, own + `skip-containers": "` + list("app;", 500, ";") + `"`, refused + "annotation wisp-sidecar.github.io/skip-containers is 'app;", ""},
		{"one of wide characters", app, own + `skip-containers": "` + list("é", 1995, ",app") + `"`, `"op":"add"`, refused},
		{"a list of tokens that is just not too long", app, document + own + `tokens": "` + list("aaa=b,,,", 250, "") + `"`, `"path":"aaa","audience":"b","expirationSeconds":3600`, refused},
		{"one that is, likewise", app, document + own + `tokens": "` + list("aaa=b,,,", 250, ",") + `"`, refused + "annotation wisp-sidecar.github.io/tokens is 'aaa=b,,,", ""},
		{"the list of AKS has semicolons only", app, azure + `, "azure.workload.identity/skip-containers": "app, logs"`, "IDENTITY_ENDPOINT", refused},

		{"a sysctl that is just low enough", sysctl("80"), own + `link-local": "true"`, `"wisp-link-local"`, refused},
		{"one that is just not", sysctl("81"), own + `link-local": "true"`, tooHigh("81"), ""},
		{"one that is negative", sysctl("-1"), own + `link-local": "true"`, tooHigh("-1"), ""},
		{"one that is no number", sysctl("low"), own + `link-local": "true"`, tooHigh("low"), ""},
		{"one that nobody needs", sysctl("1024"), "", `"op":"add"`, refused},

		{"a bypass that is not permitted", bypassed, own + `allow-bypass": "false"`, refused + "container app has AWS_WEB_IDENTITY_TOKEN_FILE", ""},
		{"a bypass of a cloud that is off", bypassed, own + `outlets": "awsContainer,gceMetadata"`, "the outlet gceMetadata needs an identity of Google", "GOOGLE_APPLICATION_CREDENTIALS"},
		{"an outlet that is unknown brings no other", app + `, "hostNetwork": true`, own + `outlets": "file"` + own + `google-audience": "//iam.googleapis.com/locations/global/workforcePools/people/providers/okta"`, refused + "annotation wisp-sidecar.github.io/outlets is 'file'", "hostNetwork"},
		{"line breaks", app, own + `log-level": "a\r\nb"`, "is 'a  b', want", ""},
		{"the audience of a cloud that is off", app, own + `aws-role-arn": ""` + own + `aws-audience": "a b"` + azure, "IDENTITY_ENDPOINT", refused},
		{"AWS_EC2_METADATA_DISABLED, and nobody at that address", `"containers": [{"name": "app", "env": [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]}]`, "", `"op":"add"`, "pass wisp by"},
		{"AWS_EC2_METADATA_DISABLED in link-local mode", `"containers": [{"name": "app", "env": [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]}]`, own + `link-local": "true"`, "container app has AWS_EC2_METADATA_DISABLED, with which its clients may pass wisp by", ""},
		{"a document's clients are its own business", `"containers": [{"name": "app", "env": [{"name": "AWS_PROFILE", "value": "x"}]}]`, document + own + `outlets": "awsContainer"`, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_PROFILE"},
		{"an empty secret is another one", `"containers": [{"name": "app", "env": [{"name": "MSI_SECRET", "value": ""}]}]`, azure, "container app has a MSI_SECRET of its own", ""},
		{"vendors' annotations of accounts on a Pod", app, own + `aws-role-arn": "", "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/reports", "iam.gke.io/gcp-service-account": "1234567890", "azure.workload.identity/client-id": "x"`, refused + "neither the ServiceAccount default nor the Pod says who it is", ""},
		{"an account that the Pod alone names", app + `, "serviceAccountName": "shop"`, own + `aws-role-arn": ""`, refused + "neither the ServiceAccount shop nor", ""},
	} {
		// Of two annotations of a name the last one counts.
		got := said(t, policy, inject.Request{Pod: asking(test.spec, test.annotations)})
		if !strings.Contains(got, test.want) || test.not != "" && strings.Contains(got, test.not) {
			t.Errorf("%s: Inject says\n%s\nwant something with %q and without %q", test.name, got, test.want, test.not)
		}
	}
	if got, want := said(t, policy, inject.Request{Pod: asking(app+`, "serviceAccountName": "shop"`, own+`aws-role-arn": ""`), Account: inject.Account{Name: "bazaar"}}), "the ServiceAccount bazaar nor"; !strings.Contains(got, want) {
		t.Errorf("Inject says\n%s\nwant something with %q", got, want)
	}
}

// The outlets of a sidecar are there even if its account says nothing any more, and so is what passes them by.
func TestALateBypassWithoutAnIdentity(t *testing.T) {
	const policy = `{"image": "wisp:dev", "aws": {"region": "eu-west-1"}}`
	result, err := regional(t).Inject(inject.Request{Pod: asking(`"containers": [{"name": "app"}]`, "")})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := injecttest.Apply(asking(`"containers": [{"name": "app"}]`, ""), append(result.Patch,
		inject.Operation{Op: "add", Path: "/spec/containers/-", Value: map[string]any{"name": "late", "env": []any{map[string]string{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/token"}}}}))
	if err != nil {
		t.Fatal(err)
	}
	later := strings.Replace(string(pod), `"annotations":{"wisp-sidecar.github.io/aws-role-arn":"arn:aws:iam::123456789012:role/reports"}`, `"annotations":{}`, 1)
	if got, want := said(t, policy, inject.Request{Pod: []byte(later)}), "wisp cannot be injected: container late has AWS_WEB_IDENTITY_TOKEN_FILE"; !strings.HasPrefix(got, want) {
		t.Errorf("Inject says\n%s\nwant %s…", got, want)
	}
}
