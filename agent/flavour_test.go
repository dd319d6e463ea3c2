package agent_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/agent"
)

// A flavour is an HTTP outlet as an attacker sees it. Each kind of outlet has one or more.
type flavour struct {
	name, kind string
	outlet     string // its entry in the document; empty if that of another flavour will do
	target     string // what yields a credential, asked with GET, or with POST if there is a form
	form       string
	// field is what a caller has to send. With value the answer is 200, without the field it has the
	// status missing, and with another value the status wrong.
	field          string
	value          func(w *world) string
	proof          string // what value returned
	missing, wrong int
	forwarded      int  // the status for requests that came through a proxy
	foldsCase      bool // paths are found in any case
}

var flavours = []flavour{
	{
		name: "awsContainer", kind: "awsContainer", target: "/aws/aws",
		outlet: `{identities: [aws, audit], awsContainer: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/aws"}}`,
		field:  "Authorization", value: secretIn("aws"), missing: 401, wrong: 403, forwarded: 403,
	},
	{
		name: "awsContainer, another identity", kind: "awsContainer", target: "/aws/audit",
		field: "Authorization", value: secretIn("aws"), missing: 401, wrong: 403, forwarded: 403,
	},
	{
		name: "imds", kind: "imds", target: "/latest/meta-data/iam/security-credentials/reports",
		outlet: `{identity: aws, imds: {listen: "${OUTLETS}", region: eu-west-1}}`,
		field:  "X-aws-ec2-metadata-token", value: session, missing: 401, wrong: 401, forwarded: 403,
	},
	{
		name: "subjectToken", kind: "subjectToken", target: "/subject/itself",
		outlet: `{identity: itself, subjectToken: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/subject"}}`,
		field:  "Authorization", value: bearerIn("subject"), missing: 401, wrong: 403, forwarded: 403,
	},
	{
		name: "bearer", kind: "bearer", target: "/token/google?scope=https://www.googleapis.com/auth/devstorage.read_only",
		outlet: `{identities: [google, azure], bearer: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/bearer"}}`,
		field:  "Authorization", value: bearerIn("bearer"), missing: 401, wrong: 403, forwarded: 403,
	},
	{
		name: "bearer, another identity", kind: "bearer", target: "/token/azure",
		field: "Authorization", value: bearerIn("bearer"), missing: 401, wrong: 403, forwarded: 403,
	},
	{
		name: "gceMetadata", kind: "gceMetadata", target: "/computeMetadata/v1/instance/service-accounts/default/token",
		outlet: `{identity: google, gceMetadata: {listen: "${OUTLETS}", zone: europe-west1-b, attributes: {cluster-name: c}}}`,
		field:  "Metadata-Flavor", value: always("Google"), missing: 403, wrong: 403, forwarded: 403,
	},
	{
		name: "azureIMDS", kind: "azureIMDS", target: "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/",
		outlet: `{identity: azure, azureIMDS: {listen: "${OUTLETS}"}}`,
		field:  "Metadata", value: always("true"), missing: 400, wrong: 400, forwarded: 400, foldsCase: true,
	},
	{
		name: "appService", kind: "appService", target: "/msi/token?api-version=2019-08-01&resource=https://vault.azure.net",
		outlet: `{identity: azure, appService: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/azure"}}`,
		field:  "X-IDENTITY-HEADER", value: secretIn("azure"), missing: 401, wrong: 401, forwarded: 400,
	},
	{
		name: "appService, 2017", kind: "appService", target: "/msi/token?api-version=2017-09-01&resource=https://storage.azure.com/",
		field: "secret", value: secretIn("azure"), missing: 401, wrong: 401, forwarded: 400,
	},
	{
		name: "Cloud Shell", kind: "appService", target: "/shell", form: "resource=https://graph.microsoft.com",
		outlet: `{identity: azure, appService: {listen: "${OUTLETS}", path: /shell, cloudShell: true, secretFile: "${DIR}/secrets/azure"}}`,
		field:  "Metadata", value: always("true"), missing: 400, wrong: 400, forwarded: 400,
	},
}

func always(value string) func(*world) string { return func(*world) string { return value } }

func secretIn(name string) func(*world) string {
	return func(w *world) string { return w.secretFile(name) }
}

func bearerIn(name string) func(*world) string {
	return func(w *world) string { return "Bearer " + w.secretFile(name) }
}

// session asks for a session token of the metadata service of EC2.
func session(w *world) string {
	w.Helper()
	answer := w.say("PUT /latest/api/token HTTP/1.1\r\nHost: " + w.urls["OUTLETS"] +
		"\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\nConnection: close\r\n\r\n")
	_, token, _ := strings.Cut(answer, "\r\n\r\n")
	if status(answer) != 200 || len(token) < 32 {
		w.Fatalf("no session token: %.200s", answer)
	}
	w.secret(token)
	return token
}

// allFlavours runs an agent with all of them on one listener, and asks each for its proof.
func allFlavours(w *world) (*agent.Agent, []flavour) {
	w.Helper()
	known := map[string]bool{}
	outlets := "\noutlets:\n"
	for _, f := range flavours {
		known[f.kind] = true
		if f.outlet != "" {
			outlets += "- " + f.outlet + "\n"
		}
	}
	for _, kind := range agent.HTTPKinds() {
		if !known[kind] {
			w.Fatalf("nobody attacks the outlet %s: add it to flavours", kind)
		}
	}
	identities := awsIdentity + strings.Replace(awsIdentity, "name: aws", "name: audit", 1) + googleIdentity + entraIdentity + subjectIdentity
	a := w.agent(w.document(identities, outlets), agent.Options{})
	w.run(a)
	w.started()
	armed := slices.Clone(flavours)
	for n := range armed {
		armed[n].proof = armed[n].value(w)
	}
	return a, armed
}

// request makes a request of a template, in which {method}, {target} and {proof}, the line with the field, stand
// for what is right, and {path} for the target without a query. The connection ends with it.
func (f flavour) request(w *world, template string) string {
	path, _, _ := strings.Cut(f.target, "?")
	method, tail := "GET", "\r\n"
	if f.form != "" {
		method, tail = "POST", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(f.form), f.form)
	}
	if !strings.Contains(template, "\r\n\r\n") {
		template += "Connection: close\r\n" + tail
	}
	return strings.NewReplacer("{method}", method, "{target}", f.target, "{path}", path, "{host}", w.urls["OUTLETS"],
		"{proof}", f.field+": "+f.proof+"\r\n").Replace(template)
}

// say sends text as it is and returns all that comes back until the connection ends.
func (w *world) say(text string) string {
	w.Helper()
	for n := 1; ; n++ {
		begin := time.Now()
		answer, err := w.sayOnce(text)
		switch {
		case answer != "":
			return answer
		case n == 10 || err != nil && os.IsTimeout(err) || time.Since(begin) < patience:
			w.Fatalf("after %.200q there is no answer: %v", text, err)
		}
	}
}

func (w *world) sayOnce(text string) (answer string, err error) {
	conn, err := net.Dial("tcp", w.urls["OUTLETS"])
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	go func() { _, _ = io.WriteString(conn, text) }() // fails if wisp has had enough
	all, err := io.ReadAll(conn)
	return string(all), err
}

// status is that of the first answer, 0 if there is none.
func status(answer string) int {
	_, rest, _ := strings.Cut(answer, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(code)
	return n
}

// reads is how many answers the metrics have counted, by status.
func (w *world) reads() map[int]int {
	w.Helper()
	counted := map[int]int{}
	for line := range strings.Lines(w.get(w.urls["PROBES"], "/metrics").body) {
		var status, n int
		_, rest, ok := strings.Cut(line, `,status="`)
		if !ok {
			continue
		}
		if _, err := fmt.Sscanf(rest, `%d"} %d`, &status, &n); err != nil {
			w.Fatalf("%q: %v", line, err)
		}
		counted[status] += n
	}
	return counted
}

// exchanges is how often the clouds were asked.
func (w *world) exchanges() int { return w.aws.Calls("") + w.google.Calls("") + w.entra.Calls("") }
