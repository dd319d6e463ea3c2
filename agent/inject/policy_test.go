package inject_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

func TestParsePolicyListsAllProblems(t *testing.T) {
	for name, test := range map[string]struct {
		document string
		want     []string // lines; none: it is a policy
	}{
		"only the image is required": {document: `{"image": "wisp:dev"}`},
		"everything": {document: `{
			"image": "registry.example/wisp:1", "imagePullPolicy": "Always", "imagePullSecrets": ["registry"], "sidecar": "classic",
			"port": 1024, "healthPort": 65535, "logLevel": "debug", "startupSeconds": 1, "linkLocal": true,
			"resources": {"requests": {"cpu": "", "memory": "1.5Gi"}, "limits": {"cpu": "2", "memory": ""}},
			"env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}, {"name": "EMPTY", "value": ""}],
			"aws": {"region": "aws-global", "audience": "sts.example", "tokenExpiration": 600},
			"google": {"audience": "//iam.googleapis.com/locations/global/workforcePools/people/providers/okta", "tokenAudience": "a", "project": "shop-prod", "tokenExpiration": 86400},
			"azure": {"tenantId": "shop.example", "authorityHost": "https://login.microsoftonline.us/", "audience": "api://x", "tokenExpiration": 3600}}`},
		"what is empty or null has its default": {document: `{"image": "w", "imagePullPolicy": "", "imagePullSecrets": null, "sidecar": "", "port": null,
			"logLevel": "", "env": [], "resources": {}, "aws": {"region": "", "audience": ""}, "google": null, "azure": {"authorityHost": ""}}`},
		"nothing":            {`{}`, []string{"image is required"}},
		"no object":          {`[]`, []string{"the policy cannot be read: it is no JSON object: json: cannot unmarshal array into Go value of type map[string]interface {}"}},
		"two objects":        {`{"image": "w"} {}`, []string{"the policy cannot be read: there is something after the JSON object"}},
		"no JSON":            {`image: w`, []string{"the policy cannot be read: it is no JSON object: invalid character 'i' looking for beginning of value"}},
		"one port for both":  {`{"image": "w", "port": 9000, "healthPort": 9000}`, []string{"healthPort is the same as port"}},
		"fractions of ports": {`{"image": "w", "port": 9000.0}`, []string{"port is 9000.0, want a port from 1024 to 65535"}},
		"keys that are unknown, on all levels": {`{"image": "w", "Image": "w", "region": "x", "resources": {"request": {}, "limits": {"disk": "1"}},
			"env": [{"name": "A", "valueFrom": {}}], "aws": {"roleArn": "x"}, "google": {"x": 1}, "azure": {"x": 1}}`, []string{
			"Image is not known; known are image, imagePullPolicy, imagePullSecrets, sidecar, port, healthPort, logLevel, startupSeconds, linkLocal, resources, env, aws, google, azure",
			"region is not known; known are image, imagePullPolicy, imagePullSecrets, sidecar, port, healthPort, logLevel, startupSeconds, linkLocal, resources, env, aws, google, azure",
			"resources.request is not known; known are requests, limits",
			"resources.limits.disk is not known; known are cpu, memory",
			"env[0].valueFrom is not known; known are name, value",
			"aws.roleArn is not known; known are region, audience, tokenExpiration",
			"google.x is not known; known are audience, tokenAudience, project, tokenExpiration",
			"azure.x is not known; known are tenantId, authorityHost, audience, tokenExpiration",
		}},
		"types that are wrong": {`{"image": 1, "imagePullSecrets": {"name": "x"}, "sidecar": true, "port": "9911", "linkLocal": "true", "resources": [], "env": {}, "aws": "x"}`, []string{
			"image is not a string", "sidecar is not a string", "linkLocal is not true or false", "port is not a number",
			"image is required", "imagePullSecrets is not a list", "resources is not an object", "env is not a list", "aws is not an object",
		}},
		"just beyond the limits": {`{"image": "w", "startupSeconds": 86401, "env": [{"name": "1A"}], "resources": {"limits": {"memory": "1Ti"}},
			"aws": {"audience": "` + strings.Repeat("a", 257) + `"}, "azure": {"authorityHost": "https://login.example/path"}}`, []string{
			"startupSeconds is 86401, want seconds from 1 to 86400", "resources.limits.memory is '1Ti', want a quantity such as 20m or 64Mi",
			"env[0].name is '1A', want the name of a variable", "aws.audience is '" + strings.Repeat("a", 100) + "…', want an audience",
			"azure.authorityHost is 'https://login.example/path', want a URL such as https://login.microsoftonline.com",
		}},
		"values that are wrong": {`{"image": "w", "imagePullPolicy": "Sometimes", "imagePullSecrets": ["", {"name": "x"}], "sidecar": "modern", "port": 80, "healthPort": 70000,
			"logLevel": "loud", "startupSeconds": 0, "resources": {"requests": {"cpu": "much"}}, "env": [{"value": "x"}, {"name": "a b"}, 1],
			"aws": {"region": "EU", "audience": "a b", "tokenExpiration": 599},
			"google": {"audience": "https://iam.googleapis.com/x", "tokenAudience": "ä", "project": "Shop", "tokenExpiration": 86401},
			"azure": {"tenantId": "common", "authorityHost": "http://login.example", "audience": "a b", "tokenExpiration": 1e3}}`, []string{
			"imagePullPolicy is 'Sometimes', want Always, IfNotPresent or Never",
			"sidecar is 'modern', want native or classic",
			"port is 80, want a port from 1024 to 65535", "healthPort is 70000, want a port from 1024 to 65535",
			"logLevel is 'loud', want debug, info, warn or error", "startupSeconds is 0, want seconds from 1 to 86400",
			"imagePullSecrets[0] is not the name of a Secret", "imagePullSecrets[1] is not the name of a Secret",
			"resources.requests.cpu is 'much', want a quantity such as 20m or 64Mi",
			"env[2] is not an object", "env[0].name is required", "env[1].name is 'a b', want the name of a variable", "env[2].name is required",
			"aws.region is 'EU', want a region such as eu-west-1", "aws.audience is 'a b', want an audience", "aws.tokenExpiration is 599, want seconds from 600 to 86400",
			"google.audience is 'https://iam.googleapis.com/x', want //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, or identitynamespace:POOL:URL",
			"google.tokenAudience is 'ä', want an audience", "google.project is 'Shop', want a project", "google.tokenExpiration is 86401, want seconds from 600 to 86400",
			"azure.tenantId is 'common', want a tenant", "azure.authorityHost is 'http://login.example', want a URL such as https://login.microsoftonline.com",
			"azure.audience is 'a b', want an audience", "azure.tokenExpiration is 1e3, want seconds from 600 to 86400",
		}},
	} {
		policy, err := inject.ParsePolicy([]byte(test.document))
		switch {
		case err == nil && len(test.want) == 0 && policy != nil:
		case err == nil || policy != nil:
			t.Errorf("%s: ParsePolicy = %v, %v", name, policy, err)
		case err.Error() != strings.Join(test.want, "\n"):
			t.Errorf("%s: ParsePolicy says\n%v\nwant\n%s", name, err, strings.Join(test.want, "\n"))
		}
	}
}

// What an empty policy gives is what the chart's values say, which a reader may have left out one by one.
func TestPolicyDefaults(t *testing.T) {
	const pod = `{"metadata": {"labels": {"wisp-sidecar.github.io/inject": "true"}, "annotations": {
		"wisp-sidecar.github.io/aws-role-arn": "arn:aws:iam::123456789012:role/reports", "wisp-sidecar.github.io/aws-region": "eu-west-1"}},
		"spec": {"containers": [{"name": "app"}]}}`
	patchOf := func(document string) string {
		policy, err := inject.ParsePolicy([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		result, err := policy.Inject(inject.Request{Pod: []byte(pod)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(result.Patch)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	written := patchOf(`{"image": "wisp:dev", "imagePullPolicy": "", "imagePullSecrets": [], "sidecar": "native", "port": 9911, "healthPort": 9910,
		"logLevel": "info", "startupSeconds": 600, "linkLocal": false, "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}, "limits": {"memory": "128Mi"}},
		"env": [], "aws": {"region": "", "audience": "sts.amazonaws.com", "tokenExpiration": 86400}, "google": {"tokenExpiration": 3600}, "azure": {"tokenExpiration": 3600}}`)
	for _, document := range []string{
		`{"image": "wisp:dev"}`,
		`{"image": "wisp:dev", "sidecar": "", "logLevel": "", "aws": {"audience": ""}, "azure": {"audience": ""}}`,
	} {
		if left := patchOf(document); left != written {
			t.Errorf("%s gives\n%s\nwant\n%s", document, left, written)
		}
	}
}
