package awssts_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// The answers below are those that MinIO and the Ceph Object Gateway write: element by element, with
// their namespaces, or none, their "AssumeRoleId", and their forms of time.

func minioSuccess() string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn></Arn><AssumeRoleId></AssumeRoleId></AssumedRoleUser><Credentials><AccessKeyId>Y4RJU1RNFGK48LGO9I2S</AccessKeyId><SecretAccessKey>secret-key</SecretAccessKey><Expiration>` +
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339) +
		`</Expiration><SessionToken>session-token</SessionToken></Credentials><SubjectFromWebIdentityToken>system:serviceaccount:shop:reports</SubjectFromWebIdentityToken></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>15D5B8D4E0E9C2D1</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>`
}

func minioRefusal(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type></Type><Code>` + code + `</Code><Message>` + message + `</Message></Error><RequestId>15D5B8D4E0E9C2D1</RequestId></ErrorResponse>`
}

func cephSuccess(operation, arn string) string {
	token := ""
	if operation != "AssumeRole" {
		token = `<SubjectFromWebIdentityToken>system:serviceaccount:shop:reports</SubjectFromWebIdentityToken><Audience>account</Audience>`
	}
	return fmt.Sprintf(`<%[1]sResponse><%[1]sResult>%[2]s<AssumedRoleUser><Arn>%[3]s</Arn><AssumeRoleId>d4f3c9b4-9a86-4e65-8b4b-1d4b6b1b5c55:shop-reports</AssumeRoleId></AssumedRoleUser><Credentials><AccessKeyId>0w1mZxAfrgVP3qSxkVQ</AccessKeyId><Expiration>%[4]s</Expiration><SecretAccessKey>secret-key</SecretAccessKey><SessionToken>session-token</SessionToken></Credentials><PackedPolicySize>0</PackedPolicySize></%[1]sResult></%[1]sResponse>`,
		operation, token, arn, time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000000Z"))
}

func cephRefusal(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message +
		`</Message><RequestId>tx000003e1d2c5a6b7-0065f1a2b3-4567-default</RequestId><HostId>4567-default-default</HostId></Error>`
}

// other is an Exchanger for a service that is not AWS.
func other(t *testing.T, o awssts.Options, s service) *awssts.Exchanger {
	t.Helper()
	o.Transport = transport(t, s)
	x, err := awssts.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestMinIO(t *testing.T) {
	for _, arn := range []string{"", "arn:minio:iam:::role/nOybJqMNzNmroqEKq5D0EUsRZw0"} {
		x := other(t, awssts.Options{RoleARN: arn, Endpoint: "https://minio.example:9000"}, func(r *http.Request) (*http.Response, error) {
			_ = r.ParseForm()
			if got := r.URL.String() + " " + r.PostForm.Get("RoleArn"); got != "https://minio.example:9000/ "+arn {
				t.Errorf("request to %s, want https://minio.example:9000/ %s", got, arn)
			}
			return answer(200, minioSuccess()), nil
		})
		c, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
		if err != nil {
			t.Fatal(err)
		}
		want := refresher.AccessKey{ID: "Y4RJU1RNFGK48LGO9I2S", Secret: "secret-key", SessionToken: "session-token"}
		if c.Value != want {
			t.Errorf("with role %q the credential is not the one of the answer, without an account", arn)
		}
	}
}

func TestCeph(t *testing.T) {
	const first, second = "arn:aws:iam:::role/app/S3Access", "arn:aws:iam::tenant_a:role/app/S3Backup"
	var signed string
	x := other(t, awssts.Options{
		RoleARN: first, Endpoint: "https://rgw.example/gateway/", Region: "zone-1",
		Chain: []awssts.Hop{{RoleARN: second}},
	}, func(r *http.Request) (*http.Response, error) {
		_ = r.ParseForm()
		if r.URL.Path != "/gateway/" {
			t.Errorf("request to path %s, want /gateway/", r.URL.Path)
		}
		if r.PostForm.Get("Action") == "AssumeRole" {
			signed = r.Header.Get("Authorization")
			return answer(200, cephSuccess("AssumeRole", "arn:aws:sts::tenant_a:assumed-role/app/S3Backup/shop-reports")), nil
		}
		return answer(200, cephSuccess("AssumeRoleWithWebIdentity", "arn:aws:sts:::assumed-role/app/S3Access/shop-reports")), nil
	})
	c, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
	if err != nil {
		t.Fatal(err)
	}
	want := refresher.AccessKey{ID: "0w1mZxAfrgVP3qSxkVQ", Secret: "secret-key", SessionToken: "session-token"}
	if c.Value != want {
		t.Error("the credential is not the one of the answer, without an account")
	}
	if time.Until(c.Expires) < 59*time.Minute {
		t.Errorf("Expires = %v, want it read with its fraction", c.Expires)
	}
	if !strings.Contains(signed, "Credential=0w1mZxAfrgVP3qSxkVQ/") || !strings.Contains(signed, "/zone-1/sts/aws4_request") {
		t.Errorf("Authorization = %q, want the first session's key, for zone-1", signed)
	}
}

func TestSigningWithoutARegion(t *testing.T) {
	var signed string
	x := other(t, awssts.Options{
		RoleARN: "arn:aws:iam:::role/a", Endpoint: "https://rgw.example", Chain: []awssts.Hop{{RoleARN: "arn:aws:iam:::role/b"}},
	}, func(r *http.Request) (*http.Response, error) {
		signed = r.Header.Get("Authorization")
		return answer(200, cephSuccess("AssumeRoleWithWebIdentity", "")), nil
	})
	_, _ = x.Exchange(t.Context(), podToken(), refresher.Target{})
	if !strings.Contains(signed, "/us-east-1/sts/aws4_request") {
		t.Errorf("Authorization = %q, want a signature for us-east-1", signed)
	}
}

func TestRefusalsOfOtherServices(t *testing.T) {
	for _, tt := range []struct {
		name   string
		role   string
		status int
		body   string
		class  refresher.Class
		code   string
		text   string
		hint   string
	}{
		{"MinIO: a token that has expired", "", 400,
			minioRefusal("ExpiredToken", "The web identity token that was passed is expired or is not valid. Get a new identity token from the identity provider and then retry the request."),
			refresher.SubjectToken, "ExpiredToken", "expired or is not valid", "check the node's clock"},
		{"MinIO: no policy for the token", "", 403, minioRefusal("AccessDenied", "Generating temporary credentials not allowed for this request."),
			refresher.Settling, "AccessDenied", "not allowed", "add the claim, or set roleArn"},
		{"MinIO: an unknown role", "arn:minio:iam:::role/nobody", 400, minioRefusal("InvalidParameterValue", "Role arn:minio:iam:::role/nobody does not exist"),
			refresher.Denied, "InvalidParameterValue", "does not exist", ""},
		{"MinIO: starting", "", 503, minioRefusal("STSNotInitialized", "STS API not initialized, please try again."),
			refresher.Transient, "STSNotInitialized", "try again", ""},
		{"Ceph: denied", "arn:aws:iam:::role/a", 403, cephRefusal("AccessDenied", ""),
			refresher.Settling, "AccessDenied", "403", "the trust policy of arn:aws:iam:::role/a must allow"},
		{"Ceph: an unknown role", "arn:aws:iam:::role/a", 404, cephRefusal("NoSuchEntity", "The role does not exist."),
			refresher.Settling, "NoSuchEntity", "does not exist", ""},
		{"Ceph: a token that does not verify", "arn:aws:iam:::role/a", 400, cephRefusal("InvalidIdentityToken", ""),
			refresher.SubjectToken, "InvalidIdentityToken", "400", "it says iss="},
		{"Ceph: a policy that is too large", "arn:aws:iam:::role/a", 400, cephRefusal("PackedPolicyTooLarge", ""),
			refresher.Denied, "PackedPolicyTooLarge", "400", "shorten policy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := other(t, awssts.Options{RoleARN: tt.role, Endpoint: "https://s3.example"}, func(*http.Request) (*http.Response, error) {
				return answer(tt.status, tt.body), nil
			})
			_, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
			e := refresher.AsError(err)
			if e == nil || e.Class != tt.class || e.Code != tt.code || !strings.Contains(e.Error(), tt.text) {
				t.Fatalf("Exchange = %v, want %v %q with %q", err, tt.class, tt.code, tt.text)
			}
			// Without a hint of its own a failure has the one of its class.
			usual := upstream.Advise(&refresher.Error{Class: e.Class, Code: e.Code}).Hint
			if !strings.Contains(e.Hint, tt.hint) || (tt.hint == "") != (e.Hint == usual) {
				t.Errorf("hint = %q, want %q in it", e.Hint, tt.hint)
			}
		})
	}
}
