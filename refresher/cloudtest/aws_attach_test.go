package cloudtest_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	openARN   = "arn:aws:iam::210987654321:role/open" // allows all that can be attached
	policyARN = "arn:aws:iam::210987654321:policy/team/readonly"
	allowGet  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}`
)

func newOpenAWS(w *world) *cloudtest.AWS {
	a := newAWS(w)
	a.PutRole(cloudtest.Role{ARN: openARN, TrustedAccounts: []string{"123456789012", "210987654321"}, TagSession: true, SetSourceIdentity: true})
	a.PutPolicy(policyARN)
	a.PutPolicy("arn:aws:iam::123456789012:policy/elsewhere")
	return a
}

// assumeForm is the form of an AssumeRole; its parameters come in pairs.
func assumeForm(role string, parameters ...string) url.Values {
	form := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"hop"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	return form
}

// assume sends it, and returns the keys of the new session.
func (w *world) assume(keys aws.Credentials, form url.Values) aws.Credentials {
	w.Helper()
	answer, body := w.send(w.sign(keys, form.Encode()))
	var result struct {
		Key    string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleResult>Credentials>SessionToken"`
	}
	if err := xml.Unmarshal([]byte(body), &result); err != nil || answer.StatusCode != 200 {
		w.Fatalf("AssumeRole = %s %s, want 200", answer.Status, body)
	}
	return aws.Credentials{AccessKeyID: result.Key, SecretAccessKey: result.Secret, SessionToken: result.Token}
}

// tags are the parameters of tags; keys and values come in pairs.
func tags(pairs ...string) []string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		member := fmt.Sprintf("Tags.member.%d.", i/2+1)
		list = append(list, member+"Key", pairs[i], member+"Value", pairs[i+1])
	}
	return list
}

func TestAWSCarriesTagsAndSourceIdentityOverAChain(t *testing.T) {
	w := newWorld(t)
	a := newOpenAWS(w)
	first := w.keys()
	form := assumeForm(openARN, append(tags("Team", "shop", "stage", "one"), "TransitiveTagKeys.member.1", "team", "SourceIdentity", "alice",
		"Policy", allowGet, "PolicyArns.member.1.arn", policyARN)...)
	answer, body := w.send(w.sign(first, form.Encode()))
	golden(t, "aws_assume_role_attached", answer, body)

	second := w.assume(first, form)
	got, ok := a.Session(second.AccessKeyID)
	want := cloudtest.Session{
		ARN: "arn:aws:sts::210987654321:assumed-role/open/hop", Account: "210987654321", RoleARN: openARN, Expires: start.Add(time.Hour),
		Policy: allowGet, PolicyARNs: []string{policyARN},
		Tags: map[string]string{"Team": "shop", "stage": "one"}, TransitiveTagKeys: []string{"team"}, SourceIdentity: "alice",
	}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("Session (-want +got), known %v:\n%s", ok, diff)
	}

	third, _ := a.Session(w.assume(second, assumeForm(openARN, tags("stage", "two")...)).AccessKeyID)
	if diff := cmp.Diff(map[string]string{"Team": "shop", "stage": "two"}, third.Tags); diff != "" {
		t.Errorf("tags carried over (-want +got):\n%s", diff)
	}
	if third.SourceIdentity != "alice" || third.Policy != "" || third.PolicyARNs != nil {
		t.Errorf("session = %+v, want the source identity and no policies of the one before", third)
	}
	fourth, _ := a.Session(w.assume(second, assumeForm(openARN)).AccessKeyID)
	if diff := cmp.Diff(map[string]string{"Team": "shop"}, fourth.Tags); diff != "" {
		t.Errorf("tags carried over without new ones (-want +got):\n%s", diff)
	}
	if _, ok := a.Session("ASIAAAAAAAAAAAAAAAAA"); ok {
		t.Error("Session of an unknown key = true, want false")
	}

	for _, c := range []struct {
		name string
		keys aws.Credentials
		form url.Values
		want string
	}{
		{"a transitive tag stays", second, assumeForm(openARN, tags("TEAM", "other")...),
			"400 InvalidParameterValue: One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session."},
		{"a source identity stays", second, assumeForm(openARN, "SourceIdentity", "bob"),
			"400 ValidationError: The source identity is already set for this assume role session"},
		{"an hour is the most", second, assumeForm(openARN, "DurationSeconds", "3601"), "400 ValidationError"},
		{"the first session has tags of its own", first, assumeForm(hopARN, append(tags("a", "b"), "ExternalId", "x-1")...),
			"403 AccessDenied: User: arn:aws:sts::123456789012:assumed-role/reports/shop-reports is not authorized to perform: sts:TagSession on resource: " + hopARN},
		{"a source identity must be allowed", first, assumeForm(hopARN, "SourceIdentity", "bob", "ExternalId", "x-1"),
			"403 AccessDenied: User: arn:aws:sts::123456789012:assumed-role/reports/shop-reports is not authorized to perform: sts:SetSourceIdentity on resource: " + hopARN},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkAWS(t, c.want)(w.send(w.sign(c.keys, c.form.Encode())))
		})
	}
	a.PutRole(cloudtest.Role{ARN: hopARN, TrustedAccounts: []string{"210987654321"}})
	checkAWS(t, "403 AccessDenied: User: arn:aws:sts::210987654321:assumed-role/open/hop is not authorized to perform: sts:TagSession on resource: "+hopARN)(
		w.send(w.sign(second, assumeForm(hopARN).Encode())))
	a.PutRole(cloudtest.Role{ARN: hopARN, TrustedAccounts: []string{"210987654321"}, TagSession: true})
	checkAWS(t, "403 AccessDenied: User: arn:aws:sts::210987654321:assumed-role/open/hop is not authorized to perform: sts:SetSourceIdentity on resource: "+hopARN)(
		w.send(w.sign(second, assumeForm(hopARN).Encode())))
}

func TestAWSChecksWhatIsAttached(t *testing.T) {
	w := newWorld(t)
	newOpenAWS(w)
	keys := w.keys()
	many := func(n int, value string) []string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, fmt.Sprint("k", i), value)
		}
		return tags(pairs...)
	}
	var eleven []string
	for i := range 11 {
		eleven = append(eleven, fmt.Sprintf("PolicyArns.member.%d.arn", i+1), policyARN)
	}
	long := `{"Statement":"` + strings.Repeat("x", 2020) + `"}`
	for _, c := range []struct {
		name       string
		parameters []string
		want       string
	}{
		{"nothing", nil, ""},
		{"a policy", []string{"Policy", allowGet}, ""},
		{"a policy of AWS", []string{"PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"}, ""},
		{"fifty tags", many(50, ""), ""},
		{"a tag in another script", tags("команда", "отчёты é"), ""},
		{"an empty policy", []string{"Policy", ""}, "400 ValidationError"},
		{"a policy that is no JSON", []string{"Policy", "allow"}, "400 MalformedPolicyDocument"},
		{"a policy without a statement", []string{"Policy", "{}"}, "400 MalformedPolicyDocument"},
		{"a policy of 2049 characters", []string{"Policy", strings.Repeat("x", 2049)}, "400 ValidationError"},
		{"a policy in another script", []string{"Policy", `{"Statement":"ж"}`}, "400 ValidationError"},
		{"a policy and ARNs of more than 2048 characters", []string{"Policy", long, "PolicyArns.member.1.arn", policyARN}, "400 PackedPolicyTooLarge"},
		{"a policy that does not exist", []string{"PolicyArns.member.1.arn", policyARN + "s"}, "400 InvalidParameterValue: Policy " + policyARN + "s does not exist"},
		{"a policy of another account", []string{"PolicyArns.member.1.arn", "arn:aws:iam::123456789012:policy/elsewhere"}, "400 InvalidParameterValue"},
		{"a policy of another partition", []string{"PolicyArns.member.1.arn", "arn:aws-cn:iam::aws:policy/ReadOnlyAccess"}, "400 InvalidParameterValue"},
		{"a policy without an ARN", []string{"PolicyArns.member.1.arn", "ReadOnlyAccess"}, "400 ValidationError"},
		{"eleven policies", eleven, "400 InvalidParameterValue: The number"},
		{"fifty-one tags", many(51, ""), "400 ValidationError"},
		{"a tag without a value", []string{"Tags.member.1.Key", "a"}, "400 ValidationError"},
		{"a tag without a key", tags("", "x"), "400 ValidationError"},
		{"a tag with a comma", tags("a,b", "x"), "400 ValidationError"},
		{"a tag with a comma in its value", tags("a", "x,y"), "400 ValidationError"},
		{"a reserved tag", tags("AWS:x", "y"), "400 ValidationError"},
		{"a tag twice", tags("a", "1", "A", "2"), "400 InvalidParameterValue: Duplicate tag keys found."},
		{"a transitive key that is no tag", append(tags("a", "1"), "TransitiveTagKeys.member.1", "b"), "400 InvalidParameterValue: The specified transitive tag key must be included"},
		{"a source identity of one letter", []string{"SourceIdentity", "x"}, "400 ValidationError"},
		{"a source identity with a blank", []string{"SourceIdentity", "a b"}, "400 ValidationError"},
		{"tags that are too large", many(20, strings.Repeat("x", 256)), "400 PackedPolicyTooLarge: Packed size of session tags consumes 127% of allotted space."},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkAWS(t, c.want)(w.send(w.sign(keys, assumeForm(openARN, c.parameters...).Encode())))
		})
	}
}

func TestAWSReadsTagsFromWebIdentities(t *testing.T) {
	w := newWorld(t)
	a := newOpenAWS(w)
	claims := map[string]any{
		"https://aws.amazon.com/tags": map[string]any{
			"principal_tags": map[string]any{"Team": []string{"shop"}}, "transitive_tag_keys": []string{"Team"},
		},
		"https://aws.amazon.com/source_identity": "alice",
	}
	form := with(w.webIdentityForm(), "WebIdentityToken", w.awsToken(cloudtest.TokenOptions{Claims: claims}))
	checkAWS(t, "403 AccessDenied: Not authorized to perform sts:TagSession")(w.postForm(stsURL, form))

	role := cloudtest.Role{ARN: roleARN, Issuer: issuerURL, Subjects: []string{"*"}, TagSession: true}
	a.PutRole(role)
	checkAWS(t, "403 AccessDenied: Not authorized to perform sts:SetSourceIdentity")(w.postForm(stsURL, form))
	role.SetSourceIdentity = true
	a.PutRole(role)
	form = with(form, "Policy", allowGet)
	answer, body := w.postForm(stsURL, form)
	checkAWS(t, "")(answer, body)
	var result struct {
		Key      string `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
		Identity string `xml:"AssumeRoleWithWebIdentityResult>SourceIdentity"`
	}
	if err := xml.Unmarshal([]byte(body), &result); err != nil {
		t.Fatal(err)
	}
	s, _ := a.Session(result.Key)
	if result.Identity != "alice" || s.SourceIdentity != "alice" || s.Tags["Team"] != "shop" || s.Policy != allowGet {
		t.Errorf("session = %+v, source identity %q in the answer; want those of the token, and the policy", s, result.Identity)
	}

	claims["https://aws.amazon.com/tags"] = "Team=shop"
	form["WebIdentityToken"] = w.awsToken(cloudtest.TokenOptions{Claims: claims})
	checkAWS(t, "400 InvalidIdentityToken: The claim https://aws.amazon.com/tags is malformed")(w.postForm(stsURL, form))
	claims["https://aws.amazon.com/tags"], claims["https://aws.amazon.com/source_identity"] = nil, "x"
	form["WebIdentityToken"] = w.awsToken(cloudtest.TokenOptions{Claims: claims})
	checkAWS(t, "400 InvalidIdentityToken: The claim https://aws.amazon.com/source_identity is malformed")(w.postForm(stsURL, form))
}

func TestAWSIssuesSessionsWithoutACall(t *testing.T) {
	w := newWorld(t)
	a := newOpenAWS(w)
	id, secret, token, expires, err := a.IssueSession(roleARN, "i-0123456789abcdef0", 6*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if want := start.Add(6 * time.Hour); !expires.Equal(want) {
		t.Errorf("expires = %v, want %v", expires, want)
	}
	keys := aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}
	const identity = "Action=GetCallerIdentity&Version=2011-06-15"
	_, body := w.send(w.sign(keys, identity))
	if want := "<Arn>arn:aws:sts::123456789012:assumed-role/reports/i-0123456789abcdef0</Arn>"; !strings.Contains(body, want) {
		t.Errorf("GetCallerIdentity = %s, want %s", body, want)
	}
	checkAWS(t, "400 ValidationError")(w.send(w.sign(keys, assumeForm(openARN, "DurationSeconds", "7200").Encode())))
	w.now = expires
	checkAWS(t, "403 ExpiredToken")(w.send(w.sign(keys, identity)))

	if _, _, _, _, err := a.IssueSession(roleARN+"s", "i-0123456789abcdef0", time.Hour); err == nil {
		t.Error("IssueSession of an unknown role succeeded")
	}
	if _, _, _, _, err := a.IssueSession(roleARN, "a b", time.Hour); err == nil {
		t.Error("IssueSession with a bad session name succeeded")
	}
}
