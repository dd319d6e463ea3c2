package format_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	infoV1      = `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`
	infoV1Beta1 = `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{}}`
)

// with is atHand, changed.
func with(change func(*format.Options)) format.Options {
	o := atHand
	change(&o)
	return o
}

func TestExecCredentialGolden(t *testing.T) {
	undated := exampleBearer
	undated.Expires = time.Time{}
	for name, test := range map[string]struct {
		credential refresher.Credential
		options    format.Options
	}{
		"exec_credential":         {exampleBearer, format.Options{}},
		"exec_credential_v1":      {exampleBearer, format.Options{ExecInfo: infoV1}},
		"exec_credential_v1beta1": {exampleBearer, format.Options{ExecInfo: infoV1Beta1}},
		"exec_credential_undated": {undated, format.Options{}},
		"exec_credential_eks":     {exampleKey, atHand},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.Formats["execCredential"].Encode(test.credential, test.options)
			if err != nil {
				t.Fatal(err)
			}
			goldenFile(t, name, got)
		})
	}
}

func TestExecCredentialRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		credential refresher.Credential
		options    format.Options
		want       string
	}{
		"the version of old clients":    {exampleBearer, format.Options{ExecInfo: `{"apiVersion":"client.authentication.k8s.io/v1alpha1"}`}, "v1alpha1"},
		"a version of another API":      {exampleBearer, format.Options{ExecInfo: `{"apiVersion":"v1"}`}, `version "v1"`},
		"no version":                    {exampleBearer, format.Options{ExecInfo: `{}`}, `version ""`},
		"what is no JSON":               {exampleBearer, format.Options{ExecInfo: `v1`}, "not a JSON object"},
		"no cluster":                    {exampleKey, with(func(o *format.Options) { o.Cluster = "" }), "needs the cluster's name"},
		"a cluster with a line break":   {exampleKey, with(func(o *format.Options) { o.Cluster = "a\nhost:b" }), "cluster's name must"},
		"a cluster that is an ARN":      {exampleKey, with(func(o *format.Options) { o.Cluster = "arn:aws:eks:eu-west-1:1:cluster/prod" }), "cluster's name must"},
		"a long cluster":                {exampleKey, with(func(o *format.Options) { o.Cluster = strings.Repeat("a", 101) }), "cluster's name must"},
		"no region":                     {exampleKey, with(func(o *format.Options) { o.STSRegion = "" }), "needs a region"},
		"no STS":                        {exampleKey, with(func(o *format.Options) { o.STSHost = "" }), "needs a region"},
		"an STS that is a URL":          {exampleKey, with(func(o *format.Options) { o.STSHost = "https://sts.amazonaws.com/" }), "is none"},
		"a region with a slash":         {exampleKey, with(func(o *format.Options) { o.STSRegion = "a/b" }), "is none"},
		"a key without a session token": {accessKey("AKIA", "s", "", ""), atHand, "session token is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.Formats["execCredential"].Encode(test.credential, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Encode = %s, %v, want an error with %q", got, err, test.want)
			}
		})
	}
}

// execStatus is what client-go reads.
func execStatus(t *testing.T, document []byte) (token string, expires time.Time) {
	t.Helper()
	var exec struct {
		Status struct {
			Token               string    `json:"token"`
			ExpirationTimestamp time.Time `json:"expirationTimestamp"`
		} `json:"status"`
	}
	if err := json.Unmarshal(document, &exec); err != nil {
		t.Fatal(err)
	}
	return exec.Status.Token, exec.Status.ExpirationTimestamp
}

func TestEKSTokenExpires(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		key, want time.Duration // from now
	}{
		"long before the key": {time.Hour, 14 * time.Minute},
		"with the key":        {5 * time.Minute, 5 * time.Minute},
		"a second before it":  {14*time.Minute + time.Second, 14 * time.Minute},
	} {
		credential := exampleKey
		credential.Expires = now.Add(test.key)
		got, err := format.Formats["execCredential"].Encode(credential, with(func(o *format.Options) { o.Now = func() time.Time { return now } }))
		if err != nil {
			t.Fatal(err)
		}
		if _, expires := execStatus(t, got); !expires.Equal(now.Add(test.want)) {
			t.Errorf("%s: the token expires at %v, want %v", name, expires, now.Add(test.want))
		}
	}
	credential := exampleKey
	credential.Expires = time.Time{}
	got, err := format.Formats["execCredential"].Encode(credential, atHand)
	if err != nil {
		t.Fatal(err)
	}
	if _, expires := execStatus(t, got); !expires.Equal(atHand.Now().Add(14 * time.Minute).Truncate(time.Second)) {
		t.Errorf("of a key that does not expire: the token expires at %v", expires)
	}
}

// eksURL is what is in a token.
func eksURL(t *testing.T, token string) string {
	t.Helper()
	encoded, ok := strings.CutPrefix(token, "k8s-aws-v1.")
	url, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ok || err != nil {
		t.Fatalf("token %q: %v", token, err)
	}
	return string(url)
}

// sdkURL has the same URL signed by AWS's own signer.
func sdkURL(t *testing.T, key refresher.AccessKey, o format.Options) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "https://"+o.STSHost+"/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-k8s-aws-id", o.Cluster)
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{
		AccessKeyID: key.ID, SecretAccessKey: key.Secret.Reveal(), SessionToken: key.SessionToken.Reveal(),
	}, r, empty, "sts", o.STSRegion, o.Now())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// FuzzEKSToken: whatever key and cluster are, and whenever it is, the URL is the one of AWS's own signer.
func FuzzEKSToken(f *testing.F) {
	f.Add("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE<&>+/==", "prod", "sts.eu-west-1.amazonaws.com", "eu-west-1", int64(1893553445))
	f.Add("AKIA~", "!", "%25;'()*", "0_-Z", "sts.cn-north-1.amazonaws.com.cn", "cn-north-1", int64(0))
	f.Add("A", "s", "t", strings.Repeat("a", 100), "sts-fips.us-east-1.amazonaws.com", "us-east-1", int64(253402300799))
	f.Add("A/B", "s", "t", "a b", "STS.amazonaws.com", "us-east-1", int64(-1))
	f.Fuzz(func(t *testing.T, id, secret, session, cluster, host, region string, at int64) {
		at &= 1<<37 - 1 // years of four digits
		o := format.Options{Cluster: cluster, STSHost: host, STSRegion: region, Now: func() time.Time { return time.Unix(at, 999) }}
		key := refresher.AccessKey{ID: id, Secret: refresher.Secret(secret), SessionToken: refresher.Secret(session)}
		document, err := format.Formats["execCredential"].Encode(refresher.Credential{Value: key}, o)
		if err != nil {
			return
		}
		token, _ := execStatus(t, document)
		if diff := cmp.Diff(sdkURL(t, key, o), eksURL(t, token)); diff != "" {
			t.Errorf("the URL in the token (-AWS's own signer, +got):\n%s", diff)
		}
	})
}

// The cluster believes the token, and no other cluster does.
func TestEKSClusterTakesTheToken(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/reports"
	clock := func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }
	cloud := cloudtest.NewAWS(cloudtest.AWSOptions{Roles: []cloudtest.Role{{ARN: role}}, Now: clock})
	internet := cloudtest.NewNetwork()
	internet.Handle(atHand.STSHost, cloud)
	id, secret, session, expires, err := cloud.IssueSession(role, "shop-reports", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	document, err := format.Formats["execCredential"].Encode(refresher.Credential{
		Value: refresher.AccessKey{ID: id, Secret: refresher.Secret(secret), SessionToken: refresher.Secret(session)}, Expires: expires,
	}, with(func(o *format.Options) { o.Now = clock }))
	if err != nil {
		t.Fatal(err)
	}
	token, _ := execStatus(t, document)
	for cluster, trusted := range map[string]bool{"prod": true, "test": false, "": false} {
		eks := cloudtest.NewEKS(cloudtest.EKSOptions{Cluster: cluster, Transport: internet, Now: clock})
		arn, err := eks.Authenticate(t.Context(), token)
		if (err == nil && strings.HasSuffix(arn, ":assumed-role/reports/shop-reports")) != trusted {
			t.Errorf("cluster %q: Authenticate = %q, %v, trusted should be %v", cluster, arn, err, trusted)
		}
	}
}
