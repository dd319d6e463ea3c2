package agent_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	wrongFile  = `file: {path: "${DIR}/token"}`
	wrongURL   = `url: {url: "https://tokens.example/token", headers: {Authorization: "Bearer what-the-URL-demands"}, format: json, field: token}`
	wrongToAWS = `aws: {roleArn: "arn:aws:iam::123456789012:role/kubernetes", region: eu-west-1}`

	wrongPool     = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/shop"
	wrongToGoogle = `google: {audience: "` + wrongPool + `/providers/kubernetes", serviceAccount: reports@shop-prod.iam.gserviceaccount.com}`
	wrongToAmazon = `google: {audience: "` + wrongPool + `/providers/amazon", serviceAccount: reports@shop-prod.iam.gserviceaccount.com}`
)

// wrongURLs are services that give no token.
func wrongURLs() []wrongInput {
	says := func(status int, contentType, body string, fields ...string) func(*wrongWorld) {
		return func(w *wrongWorld) {
			w.secret("what-the-URL-demands")
			w.answer("tokens.example", status, contentType, body, fields...)
		}
	}
	var list []wrongInput
	for name, around := range map[string]func(*wrongWorld){
		"url: the field is missing": func(w *wrongWorld) {
			says(200, "application/json", `{"access_token":"`+w.token("sts.amazonaws.com", cloudtest.TokenOptions{})+`"}`)(w)
		},
		"url: a redirect":          says(302, "text/html", "", "Location: https://login.example/?next=what-the-URL-demands"),
		"url: 401":                 says(401, "text/plain", "who are you?"),
		"url: 404":                 says(404, "text/plain", "404 page not found"),
		"url: 500":                 says(500, "text/plain", "it broke"),
		"url: 429":                 says(429, "text/plain", "slowly, please", "Retry-After: 120"),
		"url: a page":              says(200, "text/html", "<!DOCTYPE html><html><title>Sign in</title></html>"),
		"url: 10 MiB":              says(200, "application/json", `{"token":"`+strings.Repeat("A", 10<<20)+`"}`),
		"url: the token is a list": says(200, "application/json", `{"token":["eyJhbGciOiJSUzI1NiJ9"]}`),
		"url: no token but a word": says(200, "application/json", `{"token":"unavailable"}`),
		"url: it hangs": func(w *wrongWorld) {
			w.network.Handle("tokens.example", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		},
		"url: slow, and so is the cloud": func(w *wrongWorld) {
			document := []byte(`{"token":"` + w.token("sts.amazonaws.com", cloudtest.TokenOptions{}) + `"}`)
			w.network.Handle("tokens.example", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				time.Sleep(10 * time.Second)
				_, _ = rw.Write(document)
			}))
			w.AWS.Delay(11 * time.Second)
		},
		"url: nothing listens":   func(w *wrongWorld) { w.network.Handle("tokens.example", nil) },
		"url: no such host name": nil,
	} {
		list = append(list, wrongInput{name: name, source: wrongURL, exchange: wrongToAWS, around: around})
	}
	return list
}

// wrongPlatforms are those that wisp does not run on, or that do not know the workload.
func wrongPlatforms() []wrongInput {
	const (
		github   = `githubActions: {}`
		azure    = `azureIMDS: {resource: "api://wisp-aws"}`
		azureAWS = `aws: {roleArn: "arn:aws:iam::123456789012:role/azure", region: eu-west-1}`
		gce      = `gceMetadata: {}`
		gceAWS   = `aws: {roleArn: "arn:aws:iam::123456789012:role/gce", region: eu-west-1}`
		githubTo = `aws: {roleArn: "arn:aws:iam::123456789012:role/github", region: eu-west-1}`
	)
	job := func(token string) func(*wrongWorld) {
		return func(w *wrongWorld) {
			w.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = w.GitHub.RequestURL()
			w.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = w.secret(token)
		}
	}
	page := func(w *wrongWorld) { w.answer("169.254.169.254", 200, "text/html", "<html>a captive portal</html>") }
	nobody := func(w *wrongWorld) { w.network.Handle("169.254.169.254", nil) }
	return []wrongInput{
		{"github: the job has no permission", github, githubTo, "", nil},
		{"github: half of the environment", github, githubTo, "", func(w *wrongWorld) {
			w.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = w.GitHub.RequestURL()
		}},
		{"github: 401", github, githubTo, "", func(w *wrongWorld) {
			job("a-request-token-of-yesterday")(w)
			w.answer("runner.example", 401, "application/json", `{"message":"The user is not authorized to access this resource."}`)
		}},
		{"github: another job's request token", github, githubTo, "", job("a-request-token-of-another-job")},
		{"azureIMDS: the identity is not the machine's", `azureIMDS: {resource: "api://wisp-aws", clientId: 99999999-9999-4999-8999-999999999999}`, azureAWS, "", nil},
		{"azureIMDS: the resource is unknown", `azureIMDS: {resource: "api://wisp-nothing"}`, azureAWS, "", nil},
		{"azureIMDS: not an Azure VM", azure, azureAWS, "", nobody},
		{"azureIMDS: somebody else answers", azure, azureAWS, "", page},
		{"azureIMDS: another cloud's metadata service", azure, azureAWS, "", func(w *wrongWorld) { w.network.Handle("169.254.169.254", w.EC2) }},
		{"gceMetadata: the machine has no service account", gce, gceAWS, "", func(w *wrongWorld) {
			w.network.Handle("169.254.169.254", cloudtest.NewGCEMetadata(cloudtest.GCEMetadataOptions{ProjectID: "shop-vm"}))
		}},
		{"gceMetadata: the service account is another", `gceMetadata: {serviceAccount: archive@shop-prod.iam.gserviceaccount.com}`, gceAWS, "", nil},
		{"gceMetadata: not a metadata server", gce, gceAWS, "", page},
		{"gceMetadata: another cloud's metadata service", gce, gceAWS, "", func(w *wrongWorld) { w.network.Handle("169.254.169.254", w.EC2) }},
		{"gceMetadata: nobody answers", gce, gceAWS, "", nobody},
	}
}

// wrongAssertions are SAML assertions that are none, or that Google does not take.
func wrongAssertions() []wrongInput {
	const audience = "https:" + wrongPool + "/providers/saml"
	mint := func(o cloudtest.SAMLTokenOptions) func(*wrongWorld) {
		return func(w *wrongWorld) { w.file("assertion", w.secret(w.SAML.Mint(o))) }
	}
	raw := func(text string) func(*wrongWorld) {
		return func(w *wrongWorld) { w.file("assertion", w.secret(text)) }
	}
	var list []wrongInput
	for name, around := range map[string]func(*wrongWorld){
		"saml: not base64":              raw("an assertion? not in this file!"),
		"saml: not base64, on one line": raw("PHNhbWw*Assertion*?"),
		"saml: XML as it is":            raw("<Assertion/>"),
		"saml: not XML":                 raw(base64.StdEncoding.EncodeToString([]byte("this is no document of any kind"))),
		"saml: no assertion":            raw(base64.StdEncoding.EncodeToString([]byte("<html><body>Sign in</body></html>"))),
		"saml: expired":                 mint(cloudtest.SAMLTokenOptions{Audience: audience, Lifetime: 5 * time.Minute, Issued: time.Date(1999, 12, 31, 23, 30, 0, 0, time.UTC)}),
		"saml: the identity provider refused": mint(cloudtest.SAMLTokenOptions{
			Audience: audience, Status: "urn:oasis:names:tc:SAML:2.0:status:Responder",
		}),
		"saml: wrong audience":       mint(cloudtest.SAMLTokenOptions{Audience: "https://signin.aws.amazon.com/saml"}),
		"saml: unsigned":             mint(cloudtest.SAMLTokenOptions{Audience: audience, Signed: cloudtest.SAMLSignNothing}),
		"saml: signed with some key": mint(cloudtest.SAMLTokenOptions{Audience: audience, WrongKey: true}),
		"saml: wrong issuer":         mint(cloudtest.SAMLTokenOptions{Audience: audience, Issuer: "https://other.example/saml"}),
	} {
		list = append(list, wrongInput{
			name: name, around: around, source: `file: {path: "${DIR}/assertion", type: saml2}`,
			exchange: `google: {audience: "` + wrongPool + `/providers/saml", serviceAccount: reports@shop-prod.iam.gserviceaccount.com}`,
		})
	}
	return list
}

// wrongAWSKeys are keys that are not there, or not the right ones.
func wrongAWSKeys() []wrongInput {
	shell := func(role string) func(*wrongWorld) {
		return func(w *wrongWorld) {
			id, secret, session, _, err := w.AWS.IssueSession(role, "shell", time.Hour)
			if err != nil {
				w.t.Fatal(err)
			}
			for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": session} {
				w.environ[name] = w.secret(value)
			}
		}
	}
	container := func(authorization string) func(*wrongWorld) {
		return func(w *wrongWorld) {
			w.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23" + w.Container.Path()
			w.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = w.secret(authorization)
		}
	}
	const machine = "arn:aws:iam::123456789012:role/machine"
	return []wrongInput{
		{"awsCallerIdentity: no keys in the environment", `awsCallerIdentity: {credentials: environment, region: eu-west-1}`, wrongToAmazon, "", nil},
		{"awsCallerIdentity: half a key in the environment", `awsCallerIdentity: {region: eu-west-1}`, wrongToAmazon, "", func(w *wrongWorld) {
			w.environ["AWS_ACCESS_KEY_ID"] = w.secret("AKIAIOSFODNN7EXAMPLE")
		}},
		{"awsCallerIdentity: no container", `awsCallerIdentity: {credentials: container, region: eu-west-1}`, wrongToAmazon, "", nil},
		{"awsCallerIdentity: the container's endpoint refuses", `awsCallerIdentity: {region: eu-west-1}`, wrongToAmazon, "", container("the-token-of-another-container")},
		{"awsCallerIdentity: no region", `awsCallerIdentity: {}`, wrongToAmazon, "", shell(machine)},
		{"awsCallerIdentity: a region of China", `awsCallerIdentity: {}`, wrongToAmazon, "", func(w *wrongWorld) {
			shell(machine)(w)
			w.environ["AWS_REGION"] = "cn-north-1"
		}},
		{"awsCallerIdentity: the instance has no role", `awsCallerIdentity: {}`, wrongToAmazon, "", func(w *wrongWorld) {
			w.network.Handle("169.254.169.254", cloudtest.NewEC2(cloudtest.EC2Options{}))
		}},
		{"awsCallerIdentity: not an EC2 instance", `awsCallerIdentity: {}`, wrongToAmazon, "", func(w *wrongWorld) {
			w.network.Handle("169.254.169.254", nil)
		}},
		{"awsCallerIdentity: somebody else answers", `awsCallerIdentity: {}`, wrongToAmazon, "", func(w *wrongWorld) {
			w.answer("169.254.169.254", 200, "text/html", "<html>a captive portal</html>")
		}},
		{"awsCallerIdentity: the instance metadata are off", `awsCallerIdentity: {}`, wrongToAmazon, "", func(w *wrongWorld) {
			w.environ["AWS_EC2_METADATA_DISABLED"] = "true"
		}},
		{"awsCallerIdentity: another account than Google expects", `awsCallerIdentity: {region: eu-west-1}`, wrongToAmazon, "", func(w *wrongWorld) {
			const other = "arn:aws:iam::999999999999:role/machine"
			w.AWS.PutRole(cloudtest.Role{ARN: other})
			shell(other)(w)
		}},
		{"awsCallerIdentity: keys that AWS does not know", `awsCallerIdentity: {region: eu-west-1}`, wrongToAmazon, "", func(w *wrongWorld) {
			w.environ["AWS_ACCESS_KEY_ID"] = w.secret("AKIAIOSFODNN7EXAMPLE")
			w.environ["AWS_SECRET_ACCESS_KEY"] = w.secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
		}},
		{"awsCallerIdentity: a provider that is not for AWS", `awsCallerIdentity: {region: eu-west-1}`, wrongToGoogle, "", shell(machine)},
	}
}

// wrongPrograms are executables that do not follow the protocol.
func wrongPrograms() []wrongInput {
	sh := func(name, script string) wrongInput {
		return wrongInput{
			name: "executable: " + name, exchange: wrongToAWS,
			source: `executable: {timeout: 120s, command: [/bin/sh, -c, ` + strconv.Quote(script) + `]}`,
		}
	}
	hangs := sh("it hangs", "sleep 60")
	hangs.source = strings.Replace(hangs.source, "120s", "5s", 1)
	document := func(members string) string { return `printf '%s' '{"version":1,` + members + `}'` }
	const jwt = `"token_type":"` + refresher.TypeJWT + `",`
	expired := sh("its token has expired", document(`"success":true,`+jwt+`"id_token":"'"$(cat "$HOME/token")"'"`))
	expired.source = strings.Replace(expired.source, "timeout:", "env: [HOME], timeout:", 1)
	expired.around = func(w *wrongWorld) {
		w.environ["HOME"] = w.dir
		w.file("token", w.token("sts.amazonaws.com", cloudtest.TokenOptions{Issued: time.Now().Add(-2 * time.Hour)}))
	}
	fails := sh("it fails without a document", "echo 'the password is correct-horse' >&2; exit 3")
	fails.around = func(w *wrongWorld) { w.secret("correct-horse") }
	writable := wrongInput{name: "executable: others can write to it", source: `executable: {command: ["${DIR}/program"]}`, exchange: wrongToAWS}
	writable.around = func(w *wrongWorld) {
		w.file("program", "#!/bin/sh\n")
		if err := os.Chmod(filepath.Join(w.dir, "program"), 0o777); err != nil {
			w.t.Fatal(err)
		}
	}
	return []wrongInput{
		hangs,
		sh("it prints 10 MiB", "head -c 10485760 /dev/zero"),
		fails,
		sh("it fails with a document", document(`"success":false,"code":"401","message":"sign in first"`)+"; exit 3"),
		sh("it reports a failure", document(`"success":false,"code":"401","message":"sign in first"`)),
		sh("it is killed", "kill -9 $$"),
		sh("it leaves a child that holds its output", "sleep 60 & exit 0"),
		sh("it prints something else", "echo 'Signing in …'"),
		sh("it prints nothing", "true"),
		sh("the document has another version", `printf '%s' '{"version":2,"success":true}'`),
		sh("the type of the token is unknown", document(`"success":true,"token_type":"jwt","id_token":"x"`)),
		sh("the type of the token is not the configured one", document(`"success":true,"token_type":"`+refresher.TypeSAML2+`","saml_response":"PHg+"`)),
		sh("the token is no JWT", document(`"success":true,`+jwt+`"id_token":"opaque"`)),
		expired,
		writable,
		{"executable: there is none", `executable: {command: ["${DIR}/program"]}`, wrongToAWS, "", nil},
	}
}
