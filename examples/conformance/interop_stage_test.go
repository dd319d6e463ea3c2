package conformance_test

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// Who the workload is, and who trusts it.
const (
	workload  = "system:serviceaccount:shop:reports"
	issuerURL = "https://oidc.example"
	entityID  = "https://idp.example/saml"

	pool    = "projects/123456789/locations/global/workloadIdentityPools/shop"
	staff   = "locations/global/workforcePools/shop-staff"
	members = "principal://iam.googleapis.com/" + pool + "/subject/"

	reports   = "reports@shop-prod.iam.gserviceaccount.com" // may be impersonated
	nightly   = "nightly@shop-prod.iam.gserviceaccount.com" // also for 12 hours
	payroll   = "payroll@shop-prod.iam.gserviceaccount.com" // may not
	shopping  = "shop-billing"                              // a project that may be billed
	somebody  = "somebody-elses"                            // and one that may not
	staffApp  = "staff-app"                                 // the audience of the workforce's tokens
	appClient = "wisp.apps.example"                         // an OAuth client
	appSecret = "the client's secret"
	awsRole   = "arn:aws:iam::123456789012:role/machine"
	awsOther  = "arn:aws:iam::210987654321:role/machine"
	awsMember = members + "arn:aws:sts::123456789012:assumed-role/machine/"
)

// The members that good documents give a token for.
const (
	federated    = members + workload
	impersonated = "serviceAccount:" + reports
	staffMember  = "principal://iam.googleapis.com/" + staff + "/subject/" + workload
)

// allowExecutables is the variable without which libraries run no program.
const allowExecutables = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"

// awsVariables are those by which clients find AWS keys.
var awsVariables = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED",
}

// The clouds are strict: see package cloudtest. All rows share them.
type clouds struct {
	issuer *cloudtest.Issuer
	idp    *cloudtest.SAMLIdP
	aws    *cloudtest.AWS
	google *cloudtest.Google
}

// newClouds makes clouds whose time is ahead of this machine's.
func newClouds(ahead time.Duration) *clouds {
	now := func() time.Time { return time.Now().Add(ahead) }
	internet := cloudtest.NewNetwork()
	c := &clouds{
		issuer: cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL}),
		idp:    cloudtest.NewSAMLIdP(cloudtest.SAMLOptions{EntityID: entityID}),
		aws:    cloudtest.NewAWS(cloudtest.AWSOptions{Now: now, Roles: []cloudtest.Role{{ARN: awsRole}, {ARN: awsOther}}}),
	}
	down := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://down.example"})
	down.Refuse(true)
	internet.Handle("oidc.example", c.issuer)
	internet.Handle("down.example", down)
	internet.Handle("sts.eu-west-1.amazonaws.com", c.aws)
	certificates := []*x509.Certificate{c.idp.Certificate()}
	c.google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Transport: internet, Now: now,
		Providers: []cloudtest.PoolProvider{
			{Name: provider("kubernetes"), Issuer: issuerURL},
			{Name: provider("disabled"), Issuer: issuerURL, Disabled: true},
			{Name: provider("custom"), Issuer: issuerURL, AllowedAudiences: []string{"shop"}},
			{Name: provider("picky"), Issuer: issuerURL, Condition: func(map[string]any) bool { return false }},
			{Name: provider("down"), Issuer: "https://down.example"},
			{Name: provider("saml"), SAMLEntityID: entityID, SAMLCertificates: certificates},
			{Name: provider("amazon"), AWSAccount: "123456789012"},
			{Name: provider("amazon-picky"), AWSAccount: "123456789012", Condition: func(map[string]any) bool { return false }},
			{Name: staff + "/providers/okta", Issuer: issuerURL, AllowedAudiences: []string{staffApp}},
		},
		ServiceAccounts: []cloudtest.ServiceAccount{
			{Email: reports, Impersonators: []string{federated, members + "reports", awsMember + "shell"}},
			{Email: nightly, Impersonators: []string{federated}, ExtendedLifetime: true},
			{Email: payroll},
		},
		Projects: []cloudtest.Project{
			{ID: shopping, Consumers: []string{federated, "principalSet://iam.googleapis.com/" + staff + "/*"}},
			{ID: somebody},
		},
		Clients: []cloudtest.GoogleClient{{ID: appClient, Secret: appSecret}},
	})
	return c
}

// provider is the name of a provider of the pool.
func provider(name string) string { return pool + "/providers/" + name }

// mint makes a token of the workload. Its audience is that of the provider "kubernetes", if there is none.
func (c *clouds) mint(o cloudtest.TokenOptions) string {
	o.Namespace, o.ServiceAccount = "shop", "reports"
	if o.Audience == nil {
		o.Audience = []string{"https://iam.googleapis.com/" + provider("kubernetes")}
	}
	return c.issuer.Mint(o)
}

// A stage is what one client sees of one row: a document, a directory, and a door to Google.
type stage struct {
	*testing.T
	*clouds
	door     *door
	dir      string
	document map[string]any
	scopes   []string
	patient  bool   // see row
	genuine  bool   // see asWritten
	raw      string // instead of the document, unless it is empty
	who      string // the client
}

// newStage has a good document about a good token in a file.
func newStage(t *testing.T, c *clouds, who string) *stage {
	s := &stage{T: t, clouds: c, who: who, dir: t.TempDir(), scopes: []string{cloudPlatform}}
	s.door = newDoor(s)
	s.document = map[string]any{
		"type":               "external_account",
		"audience":           "//iam.googleapis.com/" + provider("kubernetes"),
		"subject_token_type": refresher.TypeJWT,
		"token_url":          s.door.URL + "/v1/token",
	}
	s.holds(s.good())
	return s
}

// text is the document.
func (s *stage) text() []byte {
	if s.raw != "" {
		return []byte(s.raw)
	}
	text, err := json.MarshalIndent(s.document, "", "  ")
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// path is that of a file with the document.
func (s *stage) path() string { return s.file(accountFile, string(s.text())) }

// file writes a file and returns its path.
func (s *stage) file(name, text string) string {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// gives makes another credential_source of names and values.
func (s *stage) gives(pairs ...any) {
	source := map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		source[pair[0].(string)] = pair[1]
	}
	s.document["credential_source"] = source
}

// holds puts a subject token into a file.
func (s *stage) holds(token string) { s.gives("file", s.file("token", token)) }

// asks names another provider of the pool.
func (s *stage) asks(name string) { s.document["audience"] = "//iam.googleapis.com/" + provider(name) }

// with is a row's difference from the usual document: names and values, of which nil removes the member.
func with(pairs ...any) func(*stage) {
	return func(s *stage) {
		for pair := range slices.Chunk(pairs, 2) {
			s.document[pair[0].(string)] = pair[1]
			if pair[1] == nil {
				delete(s.document, pair[0].(string))
			}
		}
	}
}

// both is one difference after the other.
func both(first, second func(*stage)) func(*stage) {
	return func(s *stage) {
		first(s)
		second(s)
	}
}

// good is a token that the provider "kubernetes" takes.
func (s *stage) good() string { return s.mint(cloudtest.TokenOptions{}) }

// scoped, lasts and billed are for row.also.

func (s *stage) scoped(g grant, scope string) {
	if got := s.google.Scopes(g.token); !slices.Equal(got, []string{scope}) {
		s.Errorf("scopes = %q, want %s", got, scope)
	}
}

func (s *stage) lasts(g grant, seconds int) {
	want := time.Duration(seconds) * time.Second
	if left := time.Until(g.expires); left > want || left < want-time.Minute {
		s.Errorf("the token lives for %v, want %v", left, want)
	}
}

// billed: a quota project is for wisp to send, see the row of somebody else's.
func (s *stage) billed(project string) {
	calls := s.door.asked()
	if got := calls[len(calls)-1].project; (got == project) != (s.who == "wisp") {
		s.Errorf("%s has the impersonation billed to %q", s.who, got)
	}
}
