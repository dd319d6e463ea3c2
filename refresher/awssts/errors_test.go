package awssts_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

// What is wrong with options is said so that one can act on it. Each case is one mistake.
func TestWhatIsSaidOfWrongOptions(t *testing.T) {
	other := func(o *awssts.Options) { o.Endpoint, o.Region = "https://sts.example", "" }
	many := make(map[string]string)
	for i := range 51 {
		many[fmt.Sprint("key-", i)] = ""
	}
	tests := []struct {
		name   string
		change func(*awssts.Options)
	}{
		{"no role", func(o *awssts.Options) { o.RoleARN = "" }},
		{"a user", func(o *awssts.Options) { o.RoleARN = "arn:aws:iam::123456789012:user/someone" }},
		{"a MinIO role at AWS", func(o *awssts.Options) { o.RoleARN = "arn:minio:iam:::role/reports" }},
		{"a role of nothing known", func(o *awssts.Options) { other(o); o.RoleARN = "arn:gcp:iam:::role/reports" }},
		{"no region", func(o *awssts.Options) { o.Region = "" }},
		{"no region by that name", func(o *awssts.Options) { o.Region = "eu_west" }},
		{"no region by that name for signing", func(o *awssts.Options) { other(o); o.Region = "eu/west" }},
		{"a region of another partition", func(o *awssts.Options) { o.Region = "cn-north-1" }},
		{"the global region for another partition", func(o *awssts.Options) {
			o.Region, o.RoleARN = "aws-global", "arn:aws-cn:iam::123456789012:role/reports"
		}},
		{"a session name with a slash", func(o *awssts.Options) { o.SessionName = "shop/reports" }},
		{"too short a lifetime", func(o *awssts.Options) { o.Duration = time.Minute }},

		{"a policy that is not JSON", func(o *awssts.Options) { o.Policy = "s3:GetObject" }},
		{"a policy that is no object", func(o *awssts.Options) { o.Policy = "null" }},
		{"a policy in two parts", func(o *awssts.Options) { o.Policy = "{} {}" }},
		{"a policy that is too long", func(o *awssts.Options) { o.Policy = `{"Version":"` + strings.Repeat("x", 2048) + `"}` }},
		{"a policy in another script", func(o *awssts.Options) { o.Policy = `{"Id":"отчёты"}` }},
		{"managed policies that are none", func(o *awssts.Options) {
			o.PolicyARNs = []string{"ReadOnlyAccess", "arn:aws:iam::aws:policy/ReadOnlyAccess", role}
		}},
		{"a managed policy of another account", func(o *awssts.Options) { o.PolicyARNs = []string{"arn:aws:iam::210987654321:policy/reports"} }},
		{"a managed policy of another partition", func(o *awssts.Options) { o.PolicyARNs = []string{"arn:aws-cn:iam::aws:policy/ReadOnlyAccess"} }},
		{"eleven managed policies", func(o *awssts.Options) {
			o.PolicyARNs = slices.Repeat([]string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}, 11)
		}},
		{"policies that are too long together", func(o *awssts.Options) {
			o.Policy = `{"Version":"` + strings.Repeat("x", 2000) + `"}`
			o.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}
		}},

		{"an account that is none", func(o *awssts.Options) { o.ExpectedAccount = "shop" }},
		{"another account", func(o *awssts.Options) { o.ExpectedAccount = "210987654321" }},
		{"another account than the last role's", func(o *awssts.Options) {
			o.ExpectedAccount, o.Chain = "123456789012", []awssts.Hop{{RoleARN: hub}}
		}},
		{"an account where there are none", func(o *awssts.Options) {
			other(o)
			o.RoleARN, o.ExpectedAccount = "arn:aws:iam:::role/S3Access", "123456789012"
		}},
		{"an account without a role", func(o *awssts.Options) { other(o); o.RoleARN, o.ExpectedAccount = "", "123456789012" }},

		{"a hop without a role", hop(awssts.Hop{})},
		{"a hop to a user", hop(awssts.Hop{RoleARN: "arn:aws:iam::210987654321:user/someone"})},
		{"a hop to another partition", hop(awssts.Hop{RoleARN: "arn:aws-us-gov:iam::210987654321:role/hub"})},
		{"a second hop with a bad name", hop(awssts.Hop{RoleARN: hub}, awssts.Hop{RoleARN: spoke, SessionName: "a b"})},
		{"a hop of two hours", hop(awssts.Hop{RoleARN: hub, Duration: 2 * time.Hour})},
		{"a hop of a minute", hop(awssts.Hop{RoleARN: hub, Duration: time.Minute})},
		{"a hop with a fraction of a second", hop(awssts.Hop{RoleARN: hub, Duration: time.Hour - time.Millisecond})},
		{"an external id with a blank", hop(awssts.Hop{RoleARN: hub, ExternalID: "shop 1"})},
		{"an external id of one letter", hop(awssts.Hop{RoleARN: hub, ExternalID: "x"})},
		{"an external id that is too long", hop(awssts.Hop{RoleARN: hub, ExternalID: strings.Repeat("x", 1225)})},
		{"a source identity of one letter", hop(awssts.Hop{RoleARN: hub, SourceIdentity: "x"})},
		{"a source identity that is set twice", hop(awssts.Hop{RoleARN: hub, SourceIdentity: "shop"}, awssts.Hop{RoleARN: spoke, SourceIdentity: "shop"})},
		{"tags that STS does not take", hop(awssts.Hop{RoleARN: hub, Tags: map[string]string{
			"": "x", "a,b": "x", "AWS:team": "x", "long": strings.Repeat("x", 257), strings.Repeat("k", 129): "x", "Team": "a", "team": "b",
		}})},
		{"fifty-one tags", hop(awssts.Hop{RoleARN: hub, Tags: many})},
		{"transitive keys that are no tags", hop(awssts.Hop{RoleARN: hub, Tags: map[string]string{"team": "x"}, TransitiveTagKeys: []string{"stage", "team", "Team"}})},
		{"a transitive tag that is set again", hop(
			awssts.Hop{RoleARN: hub, Tags: map[string]string{"team": "x"}, TransitiveTagKeys: []string{"team"}},
			awssts.Hop{RoleARN: spoke, Tags: map[string]string{"Team": "y"}})},
		{"a policy of another account than the hop's", hop(awssts.Hop{RoleARN: hub, PolicyARNs: []string{"arn:aws:iam::123456789012:policy/reports"}})},
	}
	var got strings.Builder
	for _, tt := range tests {
		o := awssts.Options{RoleARN: role, Region: "eu-west-1", Transport: transport(t, nil)}
		tt.change(&o)
		_, err := awssts.New(o)
		if err == nil {
			t.Errorf("%s: New succeeded", tt.name)
		}
		fmt.Fprintf(&got, "# %s\n%v\n\n", tt.name, err)
	}
	golden(t, "options", got.String())
}

func hop(hops ...awssts.Hop) func(*awssts.Options) {
	return func(o *awssts.Options) { o.Chain = hops }
}

func TestOptionsAtTheirLimits(t *testing.T) {
	tags := make(map[string]string)
	for i := range 50 {
		tags[fmt.Sprint("key ", i)] = strings.Repeat("é", 256)
	}
	for name, change := range map[string]func(*awssts.Options){
		"the longest policy":      func(o *awssts.Options) { o.Policy = `{"é":"` + strings.Repeat("é", 2040) + `"}` },
		"ten policies":            func(o *awssts.Options) { o.PolicyARNs = slices.Repeat([]string{"arn:aws:iam::aws:policy/a"}, 10) },
		"a policy of the account": func(o *awssts.Options) { o.PolicyARNs = []string{"arn:aws:iam::123456789012:policy/a/b"} },
		"the expected account":    func(o *awssts.Options) { o.ExpectedAccount = "123456789012" },
		"twelve hours, then one": func(o *awssts.Options) {
			o.Duration = 12 * time.Hour
			hop(awssts.Hop{RoleARN: hub, Duration: time.Hour})(o)
		},
		"fifty tags, all transitive":   hop(awssts.Hop{RoleARN: hub, Tags: tags, TransitiveTagKeys: slices.Collect(maps.Keys(tags))}),
		"a longest external id":        hop(awssts.Hop{RoleARN: hub, ExternalID: strings.Repeat("x", 1224)}),
		"a source identity":            hop(awssts.Hop{RoleARN: hub}, awssts.Hop{RoleARN: spoke, SourceIdentity: "aZ0_+=,.@-"}),
		"the same role twice":          hop(awssts.Hop{RoleARN: hub}, awssts.Hop{RoleARN: hub}),
		"a key that is not transitive": hop(awssts.Hop{RoleARN: hub, Tags: map[string]string{"a": ""}}, awssts.Hop{RoleARN: spoke, Tags: map[string]string{"A": ""}}),
		"a Ceph tenant":                func(o *awssts.Options) { o.Endpoint, o.RoleARN = "https://s3.example", "arn:aws:iam::RGW11:role/a/b" },
		"a MinIO region":               func(o *awssts.Options) { o.Endpoint, o.RoleARN = "https://s3.example", "arn:minio:iam:eu-1::role/abc" },
	} {
		o := awssts.Options{RoleARN: role, Region: "eu-west-1"}
		change(&o)
		if problems := o.Check(); problems != nil {
			t.Errorf("%s: Check = %v, want nothing", name, problems)
		}
	}
}

// What is said when a cloud refuses: the role, the hop, and what to do.
func TestWhatIsSaidOfRefusals(t *testing.T) {
	large := make(map[string]string)
	for i := range 20 {
		large[fmt.Sprint("key-", i)] = strings.Repeat("x", 256)
	}
	tests := []struct {
		name   string
		change func(hub, spoke *cloudtest.Role)
		chain  []awssts.Hop
	}{
		{"the first role does not trust the token", nil, nil},
		{"a hop without the external id", nil, []awssts.Hop{{RoleARN: hub}}},
		{"a hop with another external id", nil, []awssts.Hop{{RoleARN: hub, ExternalID: "shop/2"}}},
		{"a hop that does not exist", nil, []awssts.Hop{{RoleARN: hub + "s"}}},
		{"a second hop that trusts nobody", func(_, spoke *cloudtest.Role) { spoke.TrustedAccounts = nil },
			[]awssts.Hop{{RoleARN: hub, ExternalID: "shop/1"}, {RoleARN: spoke}}},
		{"tags that are not allowed", func(hub, _ *cloudtest.Role) { hub.TagSession = false },
			[]awssts.Hop{{RoleARN: hub, ExternalID: "shop/1", Tags: map[string]string{"team": "a"}}}},
		{"transitive tags and a source identity that the second hop does not allow", func(_, spoke *cloudtest.Role) { spoke.TagSession, spoke.SetSourceIdentity = false, false },
			[]awssts.Hop{{RoleARN: hub, ExternalID: "shop/1", SourceIdentity: "shop", Tags: map[string]string{"team": "a"}, TransitiveTagKeys: []string{"team"}}, {RoleARN: spoke}}},
		{"tags that are too large", nil,
			[]awssts.Hop{{RoleARN: hub, ExternalID: "shop/1", Tags: large}}},
		{"a policy that IAM does not understand", nil, []awssts.Hop{{RoleARN: hub, ExternalID: "shop/1", Policy: "{}"}}},
		{"a managed policy that does not exist", nil, []awssts.Hop{{RoleARN: hub, ExternalID: "shop/1", PolicyARNs: []string{"arn:aws:iam::210987654321:policy/none"}}}},
	}
	synctest.Test(t, func(t *testing.T) {
		var got strings.Builder
		for _, tt := range tests {
			roles := hops()
			if tt.change != nil {
				tt.change(&roles[0], &roles[1])
			}
			token := goodToken()
			if tt.chain == nil {
				token.ServiceAccount = "default"
			}
			_, _, err := newCloud(t, 0, roles...).exchange(awssts.Options{Chain: tt.chain}, token)
			if err == nil {
				t.Errorf("%s: Exchange succeeded", tt.name)
				continue
			}
			e := refresher.AsError(err)
			fmt.Fprintf(&got, "# %s\n%v: %v\nhint: %s\n\n", tt.name, e.Class, e, e.Hint)
		}
		golden(t, "refusals", got.String())
	})
}
