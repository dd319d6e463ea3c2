package agent_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
)

// Chains, written as if the clouds were the real ones.
const (
	kubernetesAWSGoogle = `
identities:
- name: aws
  source:
    url:
      url: https://world.example/kubernetes/token?audience=sts.amazonaws.com
      headers: {Authorization: Bearer a secret that the URL demands}
      format: json
      field: token
  exchange: {aws: {roleArn: "arn:aws:iam::123456789012:role/kubernetes", region: eu-west-1, duration: 60m}}
- name: google
  source: {awsCallerIdentity: {identity: aws}}
  exchange:
    google:
      audience: //iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/shop/providers/amazon
      serviceAccount: reports@shop-prod.iam.gserviceaccount.com
      lifetime: 60m
`
	githubAWSAWS = `
identities:
- name: archive
  source: {githubActions: {}}
  exchange:
    aws:
      roleArn: arn:aws:iam::123456789012:role/github
      region: eu-west-1
      chain: [{roleArn: "arn:aws:iam::210987654321:role/archive", externalId: shop}]
`
	azureGoogleAWS = `
identities:
- name: google
  source: {azureIMDS: {resource: "api://wisp-google"}}
  exchange:
    google:
      audience: //iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/shop/providers/azure
      serviceAccount: reports@shop-prod.iam.gserviceaccount.com
- name: aws
  source: {identity: {name: google, audience: sts.amazonaws.com}}
  exchange: {aws: {roleArn: "arn:aws:iam::123456789012:role/google", region: eu-west-1}}
`
)

// A hop is one identity of a chain, and what it does all day.
type hop struct {
	identity string
	whom     string // what its cloud takes it for begins with this
	exchange string // the call that gives its credential
	// A credential is renewed between these two ages.
	earliest, latest time.Duration
}

func (h hop) perDay() (least, most int) {
	const day = 24 * time.Hour
	return 1 + int(day/h.latest), 1 + int(day/h.earliest)
}

const (
	reportsAccount = "serviceAccount:reports@shop-prod.iam.gserviceaccount.com"
	assumed        = "arn:aws:sts::123456789012:assumed-role/"

	hourEarliest, hourLatest = 1404 * time.Second, 2340 * time.Second // of credentials that live for an hour
)

// A chain is a document, and what comes of it.
type chain struct {
	name     string
	document string
	hops     []hop
	idTokens bool // the second hop is built on ID tokens of the first, for which others ask, too
	// others are the calls that go with the exchanges, given the numbers of those.
	others func(n map[string]int) map[string]int
}

var chains = []chain{
	{
		name: "Kubernetes, AWS, Google", document: kubernetesAWSGoogle,
		hops: []hop{
			{"aws", assumed + "kubernetes/", "AssumeRoleWithWebIdentity", hourEarliest, hourLatest},
			{"google", reportsAccount, "generateAccessToken", hourEarliest, hourLatest},
		},
		others: ofKubernetesAWSGoogle,
	},
	{
		name: "GitHub, AWS, AWS of another account", document: githubAWSAWS,
		hops: []hop{{"archive", "arn:aws:sts::210987654321:assumed-role/archive/", "AssumeRole", hourEarliest, hourLatest}},
		others: func(n map[string]int) map[string]int {
			return map[string]int{"GitHub": n["AssumeRole"], "AssumeRoleWithWebIdentity": n["AssumeRole"]}
		},
	},
	{
		name: "Azure, Google, AWS", document: azureGoogleAWS, idTokens: true,
		hops: []hop{
			{"google", reportsAccount, "generateAccessToken", hourEarliest, hourLatest},
			{"aws", assumed + "google/", "AssumeRoleWithWebIdentity", hourEarliest, hourLatest},
		},
		others: func(n map[string]int) map[string]int {
			idTokens := n["AssumeRoleWithWebIdentity"] + n["reader"]
			each := n["generateAccessToken"] + idTokens
			return map[string]int{"Azure": each, "token": each, "generateIdToken": idTokens}
		},
	},
}

func ofKubernetesAWSGoogle(n map[string]int) map[string]int {
	google := n["generateAccessToken"]
	return map[string]int{"volume": n["AssumeRoleWithWebIdentity"], "token": google, "GetCallerIdentity": google}
}

// A chain works through a day, whatever the node takes for the time.
func TestChainDay(t *testing.T) {
	for _, c := range chains {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t)
				for _, wrong := range []time.Duration{0, 2 * time.Hour, -2 * time.Hour} {
					b.wrong = wrong
					t.Logf("with a clock that is %v ahead:", wrong)
					b.day(c)
				}
			})
		})
	}
}

// Each hop makes one exchange per period of its own, however short those of the others are.
func TestChainOfUnequalPeriods(t *testing.T) {
	shorter := func(from, to string) string { return strings.Replace(kubernetesAWSGoogle, from, to, 1) }
	for _, c := range []chain{
		{
			name: "AWS for a quarter of an hour", document: shorter("duration: 60m", "duration: 15m"),
			hops: []hop{
				{"aws", assumed + "kubernetes/", "AssumeRoleWithWebIdentity", 270 * time.Second, 450 * time.Second},
				{"google", reportsAccount, "generateAccessToken", hourEarliest, hourLatest},
			},
			others: ofKubernetesAWSGoogle,
		},
		{
			name: "Google for ten minutes", document: shorter("lifetime: 60m", "lifetime: 10m"),
			hops: []hop{
				{"aws", assumed + "kubernetes/", "AssumeRoleWithWebIdentity", hourEarliest, hourLatest},
				{"google", reportsAccount, "generateAccessToken", 144 * time.Second, 240 * time.Second},
			},
			others: ofKubernetesAWSGoogle,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newBubble(t).day(c) })
		})
	}
}

// day runs a chain for a day. At every minute each hop has a credential that its cloud takes and that is
// nowhere near its end; and in the end nobody was asked for anything more often than the schedule wants.
func (b *bubble) day(c chain) {
	b.Helper()
	before := b.calls()
	b.start(c.document)
	b.started()
	reads := 0
	for minute := range 24 * 60 {
		for _, h := range c.hops {
			b.judge(h)
		}
		if c.idTokens && minute%15 == 0 {
			b.judgeIDToken(c.hops[0].identity)
			reads++
		}
		time.Sleep(time.Minute)
	}
	b.settle()
	b.end()

	n := map[string]int{"reader": reads}
	want := maps.Clone(n)
	for name, calls := range b.calls() {
		n[name] = calls - before[name]
	}
	for _, h := range c.hops {
		want[h.exchange] = n[h.exchange]
		least, most := h.perDay()
		b.Logf("%s: %d exchanges, of %d to %d", h.identity, n[h.exchange], least, most)
		if n[h.exchange] < least || n[h.exchange] > most {
			b.Errorf("%s: %d exchanges in a day, want %d to %d", h.identity, n[h.exchange], least, most)
		}
	}
	maps.Copy(want, c.others(n))
	never := func(_ string, calls int) bool { return calls == 0 }
	maps.DeleteFunc(n, never)
	maps.DeleteFunc(want, never)
	if diff := cmp.Diff(want, n); diff != "" {
		b.Errorf("calls (-want +got):\n%s", diff)
	}
}

// judge reads a credential that nothing is the matter with.
func (b *bubble) judge(h hop) {
	b.Helper()
	credential := b.mustRead(h.identity)
	if whom, _ := b.whom(credential); !strings.HasPrefix(whom, h.whom) {
		b.Fatalf("%s stands for %s, want %s", h.identity, whom, h.whom)
	}
	const exchange = 5 * time.Second
	if age := b.wall().Sub(credential.Issued); age > h.latest+exchange {
		b.Fatalf("%s was given out at the age of %v, want a new one after %v", h.identity, age, h.latest)
	}
}

// judgeIDToken reads an ID token for an audience that nobody else asks for. It has to be new.
func (b *bubble) judgeIDToken(identity string) {
	b.Helper()
	const audience = "https://reports.example"
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	credential, err := b.identities[identity].Credential(ctx, refresher.Target{Audience: audience})
	if err != nil {
		b.Fatalf("ID token of %s: %v", identity, err)
	}
	bearer, _ := credential.Value.(refresher.Bearer)
	claims, err := refresher.ParseClaims(bearer.Token)
	if err != nil {
		b.Fatal(err)
	}
	if left := time.Until(claims.Expires); !cmp.Equal(claims.Audience, []string{audience}) || left < 59*time.Minute {
		b.Fatalf("the ID token is for %q and has %v left, want %q and 59m or more", claims.Audience, left, audience)
	}
}
