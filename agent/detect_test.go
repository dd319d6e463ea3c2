package agent_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// environment is one of variables and files, and nothing else.
func environment(variables map[string]string, files map[string]string) agent.Environment {
	return agent.Environment{
		Get: func(name string) string { return variables[name] },
		ReadFile: func(path string) ([]byte, error) {
			text, ok := files[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("permission denied")}
			}
			return []byte(text), nil
		},
	}
}

// What the webhooks of EKS and AKS set, and gcloud writes.
var (
	irsa = map[string]string{
		"AWS_ROLE_ARN":                "arn:aws:iam::123456789012:role/reports",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
		"AWS_REGION":                  "eu-west-1",
		"AWS_DEFAULT_REGION":          "eu-west-1",
		"AWS_STS_REGIONAL_ENDPOINTS":  "regional",
	}
	aks = map[string]string{
		"AZURE_CLIENT_ID":            "66666666-7777-8888-9999-000000000000",
		"AZURE_TENANT_ID":            "11111111-2222-3333-4444-555555555555",
		"AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
		"AZURE_AUTHORITY_HOST":       "https://login.microsoftonline.com/",
	}
	adc = map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/etc/adc.json"}

	// Where nobody else has a word for it.
	google = map[string]string{
		"WISP_GOOGLE_AUDIENCE":        "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/cluster/providers/cluster",
		"WISP_GOOGLE_SERVICE_ACCOUNT": "reports@shop-prod.iam.gserviceaccount.com",
	}
	oauth = map[string]string{
		"WISP_OAUTH_TOKEN_URL":          "https://keycloak.example/realms/shop/protocol/openid-connect/token",
		"WISP_OAUTH_AUDIENCE":           "reports",
		"WISP_OAUTH_CLIENT_ID":          "wisp",
		"WISP_OAUTH_CLIENT_SECRET_FILE": "/etc/wisp/client-secret",
		"WISP_OAUTH_OUTPUT_FILE":        "/run/wisp/oauth.json",
		"WISP_OAUTH_SUBJECT_AUDIENCE":   "https://keycloak.example/realms/shop",
	}
	// What the injector sets besides.
	pod = map[string]string{
		"WISP_POD_IP":      "10.0.0.7",
		"WISP_HOST_IP":     "10.0.0.1",
		"WISP_SHARED":      "/run/wisp",
		"WISP_PORT":        "9911",
		"WISP_HEALTH_PORT": "9910",
		"WISP_LOG_LEVEL":   "debug",
		"WISP_OUTLETS":     "awsContainer,gceMetadata,appService",
		"WISP_DRAIN_MIN":   "5s",
	}
	github = map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   "https://run-actions-1-azure-eastus.actions.githubusercontent.com/45//idtoken/1/2?api-version=2.0",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "hunter2",
	}
)

// externalAccount is a document as gcloud writes it, with the given subject token type and source.
func externalAccount(tokenType, source string) string {
	return fmt.Sprintf(`{
  "type": "external_account",
  "audience": "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/cluster/providers/cluster",
  "subject_token_type": %q,
  "token_url": "https://sts.googleapis.com/v1/token",
  "token_info_url": "https://sts.googleapis.com/v1/introspect",
  "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/reports@shop-prod.iam.gserviceaccount.com:generateAccessToken",
  "service_account_impersonation": {"token_lifetime_seconds": 1800},
  "credential_source": %s
}`, tokenType, source)
}

const (
	jwt       = "urn:ietf:params:oauth:token-type:jwt"
	saml2     = "urn:ietf:params:oauth:token-type:saml2"
	aws4      = "urn:ietf:params:aws:token-type:aws4_request"
	textToken = `{"file": "/var/run/secrets/wisp/google/token"}`
)

// with is all of the maps in one, the later ones winning.
func with(all ...map[string]string) map[string]string {
	joined := map[string]string{}
	for _, m := range all {
		maps.Copy(joined, m)
	}
	return joined
}

func TestDetect(t *testing.T) {
	set := func(name, value string) map[string]string { return map[string]string{name: value} }
	for _, test := range []struct {
		name      string
		variables map[string]string
		document  string // /etc/adc.json
	}{
		{"irsa", irsa, ""},
		{"irsa_default_region", with(irsa, set("AWS_REGION", "")), ""},
		{"irsa_no_region", with(irsa, set("AWS_REGION", ""), set("AWS_DEFAULT_REGION", "")), ""},
		{"irsa_legacy", with(irsa, set("AWS_STS_REGIONAL_ENDPOINTS", "legacy")), ""},
		{"irsa_fips_dual_stack", with(irsa, set("AWS_REGION", "us-gov-west-1"), set("AWS_ROLE_ARN", "arn:aws-us-gov:iam::123456789012:role/reports"),
			set("AWS_USE_FIPS_ENDPOINT", "TRUE"), set("AWS_USE_DUALSTACK_ENDPOINT", "true"), set("AWS_ROLE_SESSION_NAME", "reports")), ""},
		{"irsa_endpoint", with(irsa, set("AWS_ENDPOINT_URL_STS", "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com"), set("AWS_ENDPOINT_URL", "http://ignored"), set("AWS_REGION", ""), set("AWS_DEFAULT_REGION", "")), ""},
		{"irsa_hostile_endpoint", with(irsa, set("AWS_ENDPOINT_URL", "http://169.254.169.254")), ""},
		{"irsa_endpoint_ignored", with(irsa, set("AWS_ENDPOINT_URL", "http://169.254.169.254"), set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")), ""},
		{"irsa_ca_bundle_missing", with(irsa, set("AWS_CA_BUNDLE", "/no/such/bundle.pem")), ""},
		{"irsa_bad_values", with(irsa, set("AWS_ROLE_ARN", "reports"), set("AWS_WEB_IDENTITY_TOKEN_FILE", "token"), set("AWS_ROLE_SESSION_NAME", "a b")), ""},
		{"irsa_half_role", set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reports"), ""},
		{"irsa_half_token", set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ""},
		{"aks", aks, ""},
		{"aks_identity_header", with(aks, set("IDENTITY_HEADER", "0123456789abcdef0123456789abcdef")), ""},
		{"aks_run_dir", with(aks, set("XDG_RUNTIME_DIR", "/run/user/1000")), ""},
		{"aks_half", set("AZURE_FEDERATED_TOKEN_FILE", "/token"), ""},
		{"aks_client_secret", map[string]string{"AZURE_CLIENT_ID": "x", "AZURE_TENANT_ID": "y", "AZURE_CLIENT_SECRET": "hunter2"}, ""},
		{"google_text", adc, externalAccount(jwt, textToken)},
		{"google_project", with(adc, set("GOOGLE_CLOUD_PROJECT", "shop-prod")), externalAccount(jwt, textToken)},
		{"google_json", adc, externalAccount(jwt, `{"file": "/token.json", "format": {"type": "json", "subject_token_field_name": "access_token"}}`)},
		{"google_saml", adc, externalAccount(saml2, `{"file": "/assertion"}`)},
		{"google_unreadable", adc, ""},
		{"google_wrong_type", adc, `{"type": "authorized_user", "client_secret": "hunter2"}`},
		{"google_not_json", adc, `hunter2`},
		{"google_url_source", adc, externalAccount(jwt, `{"url": "http://169.254.169.254/token"}`)},
		{"google_executable_source", adc, externalAccount(jwt, `{"executable": {"command": "/bin/sh -c id"}}`)},
		{"google_hostile_urls", adc, strings.ReplaceAll(externalAccount(jwt, textToken), "sts.googleapis.com", "sts.googleapis.com.evil.example")},
		{"google_url_source_elsewhere", adc, externalAccount(jwt, `{"url": "http://10.0.0.1/token", "headers": {"Authorization": "hunter2"}}`)},
		{"google_executable_permitted", with(adc, set("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")),
			externalAccount(jwt, `{"executable": {"command": "/bin/print-token  --for reports", "timeout_millis": 5000, "output_file": "/run/token.json"}}`)},
		{"google_aws_source", adc, externalAccount(aws4, `{"environment_id": "aws1", "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
			"url": "http://169.254.169.254/latest/meta-data/iam/security-credentials", "imdsv2_session_token_url": "http://169.254.169.254/latest/api/token",
			"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}`)},
		{"google_azure_source", adc, externalAccount(jwt, `{"url": "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://wisp",
			"headers": {"Metadata": "True"}, "format": {"type": "json", "subject_token_field_name": "access_token"}}`)},
		{"google_audience", with(google, set("WISP_GOOGLE_TOKEN_FILE", "/token")), ""},
		{"google_audience_alone", google, ""},
		{"google_twice", with(adc, google), externalAccount(jwt, textToken)},
		{"github_aws", with(github, irsa, set("AWS_WEB_IDENTITY_TOKEN_FILE", "")), ""},
		{"github_all", with(github, irsa, aks, google, oauth, set("AWS_WEB_IDENTITY_TOKEN_FILE", ""), set("AZURE_FEDERATED_TOKEN_FILE", "")), ""},
		{"github_alone", github, ""},
		{"github_and_client_secret", with(github, aks, set("AZURE_FEDERATED_TOKEN_FILE", ""), set("AZURE_CLIENT_SECRET", "hunter2")), ""},
		{"github_on_eks", with(github, irsa), ""},
		{"github_on_eks_as_github", with(github, irsa, set("WISP_SOURCE", "githubActions")), ""},
		{"github_on_eks_as_pod", with(github, irsa, set("WISP_SOURCE", "file")), ""},
		{"github_without_permission", with(irsa, set("AWS_WEB_IDENTITY_TOKEN_FILE", ""), set("WISP_SOURCE", "githubActions")), ""},
		{"vm_azure_to_aws", with(irsa, set("AWS_WEB_IDENTITY_TOKEN_FILE", ""), set("WISP_SOURCE", "azureIMDS"), set("WISP_AZURE_IMDS_RESOURCE", "api://wisp")), ""},
		{"vm_azure_no_resource", with(irsa, set("AWS_WEB_IDENTITY_TOKEN_FILE", ""), set("WISP_SOURCE", "azureIMDS")), ""},
		{"vm_google_to_entra", with(aks, set("AZURE_FEDERATED_TOKEN_FILE", ""), set("WISP_SOURCE", "gceMetadata")), ""},
		{"vm_aws_to_google", with(google, set("WISP_SOURCE", "awsCallerIdentity")), ""},
		{"vm_aws_to_entra", with(aks, set("AZURE_FEDERATED_TOKEN_FILE", ""), set("WISP_SOURCE", "awsCallerIdentity")), ""},
		{"source_unknown", with(irsa, set("WISP_SOURCE", "vault")), ""},
		{"source_without_file", with(google, set("WISP_SOURCE", "file")), ""},
		{"oauth", with(oauth, set("WISP_OAUTH_TOKEN_FILE", "/token"), set("WISP_OAUTH_SCOPE", "read write")), ""},
		{"oauth_no_outlet", with(oauth, set("WISP_OAUTH_TOKEN_FILE", "/token"), set("WISP_OAUTH_OUTPUT_FILE", "")), ""},
		{"all_three", with(irsa, aks, adc), externalAccount(jwt, textToken)},
		{"all_halves", with(irsa, aks, adc, set("AWS_ROLE_ARN", ""), set("AZURE_CLIENT_ID", "")), ""},
		{"nothing", nil, ""},

		// What injection says besides who the workload is.
		{"injected", with(irsa, aks, google, pod, set("WISP_GOOGLE_TOKEN_FILE", "/token"), set("IDENTITY_HEADER", "0123456789abcdef0123456789abcdef")), ""},
		{"injected_no_identity_header", with(aks, pod, set("WISP_OUTLETS", "appService"), set("XDG_RUNTIME_DIR", "/run/user/1000")), ""},
		{"injected_ipv6", with(irsa, pod, set("WISP_POD_IP", "fd00:10::7"), set("WISP_OUTLETS", "")), ""},
		{"injected_bad_values", with(irsa, set("WISP_PORT", "http"), set("WISP_HEALTH_PORT", "65536"), set("WISP_SHARED", "run/wisp"),
			set("WISP_LOG_LEVEL", "INFO"), set("WISP_DRAIN_MIN", "5"), set("WISP_LINK_LOCAL", "yes")), ""},
		{"injected_more_bad_values", with(irsa, set("WISP_PORT", "0"), set("WISP_HEALTH_PORT", "9910"), set("WISP_POD_IP", "localhost"), set("WISP_SHARED", "/"),
			set("WISP_DRAIN_MIN", "6s")), ""},
		{"injected_still_worse_values", with(irsa, set("WISP_PORT", "9910"), set("WISP_HEALTH_PORT", "9910"), set("WISP_DRAIN_MIN", "-1s")), ""},
		{"outlets", with(irsa, aks, google, set("WISP_GOOGLE_TOKEN_FILE", "/token"), set("WISP_OUTLETS", " azureIMDS, imds,,gceMetadata ,imds"), set("GOOGLE_CLOUD_PROJECT", "shop-prod")), ""},
		{"outlets_some", with(irsa, aks, set("WISP_OUTLETS", "awsContainer,imds")), ""},
		{"outlets_empty", with(irsa, set("WISP_OUTLETS", " , ")), ""},
		{"outlets_unknown", with(irsa, set("WISP_OUTLETS", "awsContainers,imds")), ""},
		{"outlets_for_documents", with(irsa, set("WISP_OUTLETS", "file,bearer")), ""},
		{"outlets_without_identity", with(irsa, set("WISP_OUTLETS", "appService,gceMetadata,awsContainer")), ""},
		{"outlets_of_half_an_identity", with(irsa, aks, set("AZURE_CLIENT_ID", ""), set("WISP_OUTLETS", "appService,file")), ""},
		{"outlets_and_a_file", with(oauth, irsa, set("WISP_OAUTH_TOKEN_FILE", "/token"), set("WISP_OUTLETS", "imds")), ""},
		{"shared", with(irsa, aks, set("WISP_SHARED", "/var/run/wisp/")), ""},
		{"link_local", with(irsa, aks, google, set("WISP_GOOGLE_TOKEN_FILE", "/token"), set("WISP_LINK_LOCAL", "true"), set("WISP_SHARED", "/run/wisp")), ""},
		{"link_local_one_cloud", with(irsa, set("WISP_LINK_LOCAL", "true"), set("WISP_OUTLETS", "imds"), set("WISP_PORT", "8080")), ""},
		{"link_local_off", with(irsa, set("WISP_LINK_LOCAL", "false")), ""},
		{"link_local_on_a_machine_by_a_file", with(adc, set("WISP_LINK_LOCAL", "true")), externalAccount(aws4, `{"environment_id": "aws1", "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
			"url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
			"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}`)},
		{"link_local_on_a_machine", with(aks, set("AZURE_FEDERATED_TOKEN_FILE", ""), set("WISP_SOURCE", "gceMetadata"), set("WISP_LINK_LOCAL", "true")), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{}
			if test.document != "" {
				files["/etc/adc.json"] = test.document
			}
			c, findings, err := agent.Detect(environment(test.variables, files))
			var b strings.Builder
			for _, f := range findings {
				fmt.Fprintf(&b, "found %s\n", f)
			}
			switch {
			case err != nil:
				configError(t, err)
				b.WriteString(err.Error() + "\n")
			default:
				c.Summary(&b)
				c.Details(&b)
				for _, warning := range c.Warnings() {
					b.WriteString("warning: " + warning + "\n")
				}
			}
			if strings.Contains(b.String(), "hunter2") {
				t.Errorf("Detect shows a secret: %s", &b)
			}
			golden(t, filepath.Join("testdata", "detect", test.name+".golden"), b.String())
		})
	}
}

// What is found is what a document would have said: it can be assembled.
func TestDetectedConfigurationRuns(t *testing.T) {
	variables := with(irsa, aks, adc, map[string]string{"XDG_RUNTIME_DIR": t.TempDir()})
	c, findings, err := agent.Detect(environment(variables, map[string]string{"/etc/adc.json": externalAccount(jwt, textToken)}))
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) != 3 {
		t.Errorf("Detect finds %v, want three clouds", findings)
	}
	a, err := agent.New(c, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aws", "azure", "google"} {
		if _, ok := a.Identity(name); !ok {
			t.Errorf("there is no identity %s", name)
		}
	}
}
