package awssts_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestCheck(t *testing.T) {
	good := awssts.Options{RoleARN: role, Region: "eu-west-1", Transport: transport(t, nil)}
	loopback, err := upstream.New(upstream.Options{AllowInsecureLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*awssts.Options)
		fields []string // that are complained about
	}{
		{"good", func(*awssts.Options) {}, nil},
		{"nothing set", func(o *awssts.Options) { *o = awssts.Options{} }, []string{"roleArn", "region"}},
		{"no region", func(o *awssts.Options) { o.Region = "" }, []string{"region"}},
		{"all at once", func(o *awssts.Options) { o.RoleARN, o.Region, o.SessionName, o.Duration = "x", "x y", "!", 1 },
			[]string{"roleArn", "sessionName", "duration", "region"}},

		{"role without a path", func(o *awssts.Options) { o.RoleARN = "arn:aws:iam::123456789012:role/r" }, nil},
		{"user", func(o *awssts.Options) { o.RoleARN = "arn:aws:iam::123456789012:user/someone" }, []string{"roleArn"}},
		{"short account", func(o *awssts.Options) { o.RoleARN = "arn:aws:iam::12345678901:role/reports" }, []string{"roleArn"}},
		{"newline after the role", func(o *awssts.Options) { o.RoleARN = role + "\n" }, []string{"roleArn"}},
		{"newline in the role", func(o *awssts.Options) { o.RoleARN = "arn:aws:iam::123456789012:role/a\nb/c" }, []string{"roleArn"}},
		{"role name too long", func(o *awssts.Options) { o.RoleARN = "arn:aws:iam::123456789012:role/" + strings.Repeat("r", 65) }, []string{"roleArn"}},
		{"path too long", func(o *awssts.Options) {
			o.RoleARN = "arn:aws:iam::123456789012:role/" + strings.Repeat("p/", 1100) + "r"
		}, []string{"roleArn"}},

		{"session name", func(o *awssts.Options) { o.SessionName = "a_+=,.@-Z" }, nil},
		{"session name too short", func(o *awssts.Options) { o.SessionName = "a" }, []string{"sessionName"}},
		{"session name too long", func(o *awssts.Options) { o.SessionName = strings.Repeat("a", 65) }, []string{"sessionName"}},
		{"session name with a colon", func(o *awssts.Options) { o.SessionName = "a:b" }, []string{"sessionName"}},

		{"shortest duration", func(o *awssts.Options) { o.Duration = 15 * time.Minute }, nil},
		{"longest duration", func(o *awssts.Options) { o.Duration = 12 * time.Hour }, nil},
		{"duration too short", func(o *awssts.Options) { o.Duration = 15*time.Minute - time.Second }, []string{"duration"}},
		{"duration too long", func(o *awssts.Options) { o.Duration = 12*time.Hour + time.Second }, []string{"duration"}},
		{"negative duration", func(o *awssts.Options) { o.Duration = -time.Hour }, []string{"duration"}},
		{"fraction of a second", func(o *awssts.Options) { o.Duration = time.Hour + time.Millisecond }, []string{"duration"}},

		{"region that adds a host", func(o *awssts.Options) { o.Region = "x.evil.example/" }, []string{"region"}},
		{"region of another partition", func(o *awssts.Options) { o.Region = "cn-north-1" }, []string{"region"}},
		{"role of another partition", func(o *awssts.Options) { o.RoleARN = "arn:aws-us-gov:iam::123456789012:role/r" }, []string{"region"}},
		{"global region", func(o *awssts.Options) { o.Region = "aws-global" }, nil},
		{"global region in China", func(o *awssts.Options) {
			o.Region, o.RoleARN = "aws-global", "arn:aws-cn:iam::123456789012:role/r"
		}, []string{"region"}},

		{"endpoint instead of a region", func(o *awssts.Options) { o.Region, o.Endpoint = "", "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com" }, nil},
		{"endpoint without a role", func(o *awssts.Options) { o.RoleARN, o.Endpoint = "", "https://minio.example" }, nil},
		{"endpoint with a region for signing", func(o *awssts.Options) { o.Region, o.Endpoint = "cn-north-1", "https://sts.example" }, nil},
		{"endpoint and a bad region", func(o *awssts.Options) { o.Region, o.Endpoint = "x y", "https://sts.example" }, []string{"region"}},
		{"endpoint with a role of MinIO", func(o *awssts.Options) {
			o.RoleARN, o.Endpoint = "arn:minio:iam:::role/nOybJqMNzNmroqEKq5D0EUsRZw0", "https://minio.example"
		}, nil},
		{"role of MinIO without an endpoint", func(o *awssts.Options) { o.RoleARN = "arn:minio:iam:::role/nOybJqMNzNmroqEKq5D0EUsRZw0" }, []string{"roleArn"}},
		{"role of Ceph without an endpoint", func(o *awssts.Options) { o.RoleARN = "arn:aws:iam:::role/S3Access" }, []string{"roleArn"}},
		{"hop of Ceph", func(o *awssts.Options) {
			o.RoleARN, o.Endpoint = "arn:aws:iam::tenant:role/app/a", "https://rgw.example"
			o.Chain = []awssts.Hop{{RoleARN: "arn:aws:iam:::role/app/b"}}
		}, nil},
		{"hop without a role at an endpoint", func(o *awssts.Options) { o.Endpoint, o.Chain = "https://minio.example", []awssts.Hop{{}} }, []string{"chain.0.roleArn"}},
		{"http endpoint", func(o *awssts.Options) { o.Endpoint = "http://127.0.0.1:4566" }, []string{"endpoint"}},
		{"http endpoint where allowed", func(o *awssts.Options) { o.Endpoint, o.Transport = "http://127.0.0.1:4566", loopback }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			var fields []string
			for _, problem := range o.Check() {
				fields = append(fields, problem.Field)
			}
			if !slices.Equal(fields, tt.fields) {
				t.Errorf("Check = %v, want problems with %v", o.Check(), tt.fields)
			}
			_, err := awssts.New(o)
			if (err == nil) != (len(tt.fields) == 0) {
				t.Errorf("New = %v, want an error exactly if Check complains", err)
			}
			for _, field := range tt.fields {
				if !strings.Contains(err.Error(), field+": ") {
					t.Errorf("New = %v, want it to name %s", err, field)
				}
			}
		})
	}
}

func TestTransportIsNeededToExchangeButNotToCheck(t *testing.T) {
	o := awssts.Options{RoleARN: role, Endpoint: "https://sts.internal.example"}
	if problems := o.Check(); problems != nil {
		t.Errorf("Check = %v, want nothing", problems)
	}
	if _, err := awssts.New(o); err == nil {
		t.Error("New without a Transport succeeded")
	}
}

// endpointOf is the URL that an exchange with these options sends to.
func endpointOf(t *testing.T, o awssts.Options) string {
	t.Helper()
	var got string
	x := exchanger(t, o, func(r *http.Request) (*http.Response, error) {
		got = r.URL.String()
		return nil, errors.New("enough seen")
	})
	_, _ = x.Exchange(t.Context(), podToken(), refresher.Target{})
	return strings.TrimSuffix(got, "/")
}

func TestEndpoint(t *testing.T) {
	in := func(partition string) string { return "arn:" + partition + ":iam::123456789012:role/r" }
	tests := []struct {
		name    string
		options awssts.Options
		want    string
	}{
		{"regional", awssts.Options{Region: "eu-central-1"}, "https://sts.eu-central-1.amazonaws.com"},
		{"a region nobody knows yet", awssts.Options{Region: "mars-north-7"}, "https://sts.mars-north-7.amazonaws.com"},
		{"global", awssts.Options{Region: "aws-global"}, "https://sts.amazonaws.com"},
		{"legacy region", awssts.Options{Region: "eu-central-1", Legacy: true}, "https://sts.amazonaws.com"},
		{"legacy does not move regions that must be opted into", awssts.Options{Region: "eu-south-2", Legacy: true}, "https://sts.eu-south-2.amazonaws.com"},
		{"legacy with FIPS", awssts.Options{Region: "us-east-1", Legacy: true, FIPS: true}, "https://sts-fips.us-east-1.amazonaws.com"},
		{"FIPS", awssts.Options{Region: "us-east-2", FIPS: true}, "https://sts-fips.us-east-2.amazonaws.com"},
		{"dual stack", awssts.Options{Region: "us-east-2", DualStack: true}, "https://sts.us-east-2.api.aws"},
		{"GovCloud", awssts.Options{RoleARN: in("aws-us-gov"), Region: "us-gov-west-1"}, "https://sts.us-gov-west-1.amazonaws.com"},
		{"GovCloud is FIPS", awssts.Options{RoleARN: in("aws-us-gov"), Region: "us-gov-west-1", FIPS: true}, "https://sts.us-gov-west-1.amazonaws.com"},
		{"China", awssts.Options{RoleARN: in("aws-cn"), Region: "cn-north-1"}, "https://sts.cn-north-1.amazonaws.com.cn"},
		{"European Sovereign Cloud", awssts.Options{RoleARN: in("aws-eusc"), Region: "eusc-de-east-1"}, "https://sts.eusc-de-east-1.amazonaws.eu"},
		{"GovCloud with both variants", awssts.Options{RoleARN: in("aws-us-gov"), Region: "us-gov-east-1", FIPS: true, DualStack: true}, "https://sts-fips.us-gov-east-1.api.aws"},
		{"FIPS and dual stack", awssts.Options{Region: "us-west-1", FIPS: true, DualStack: true}, "https://sts-fips.us-west-1.api.aws"},
		{"dual stack in China", awssts.Options{RoleARN: in("aws-cn"), Region: "cn-northwest-1", DualStack: true}, "https://sts.cn-northwest-1.api.amazonwebservices.com.cn"},
		{"dual stack in the European Sovereign Cloud", awssts.Options{RoleARN: in("aws-eusc"), Region: "eusc-de-east-1", DualStack: true}, "https://sts.eusc-de-east-1.api.amazonwebservices.eu"},
		{"ISO", awssts.Options{RoleARN: in("aws-iso"), Region: "us-iso-east-1"}, "https://sts.us-iso-east-1.c2s.ic.gov"},
		{"ISOB", awssts.Options{RoleARN: in("aws-iso-b"), Region: "us-isob-east-1"}, "https://sts.us-isob-east-1.sc2s.sgov.gov"},
		{"ISOE", awssts.Options{RoleARN: in("aws-iso-e"), Region: "eu-isoe-west-1"}, "https://sts.eu-isoe-west-1.cloud.adc-e.uk"},
		{"ISOF", awssts.Options{RoleARN: in("aws-iso-f"), Region: "us-isof-south-1"}, "https://sts.us-isof-south-1.csp.hci.ic.gov"},
		{"the global one has no variants", awssts.Options{Region: "aws-global", FIPS: true, DualStack: true}, "https://sts.amazonaws.com"},
		{"a path", awssts.Options{Endpoint: "https://gateway.example/aws/sts"}, "https://gateway.example/aws/sts"},
		{"override", awssts.Options{Endpoint: "https://sts.internal.example:8443", FIPS: true}, "https://sts.internal.example:8443"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := endpointOf(t, tt.options); got != tt.want {
				t.Errorf("endpoint = %s, want %s", got, tt.want)
			}
		})
	}
}

// What is signed for others to send goes to the plain name.
func TestSTS(t *testing.T) {
	for _, test := range []struct {
		name         string
		options      awssts.Options
		host, region string
	}{
		{"regional", awssts.Options{Region: "eu-central-1"}, "sts.eu-central-1.amazonaws.com", "eu-central-1"},
		{"dual stack", awssts.Options{Region: "eu-central-1", DualStack: true}, "sts.eu-central-1.amazonaws.com", "eu-central-1"},
		{"FIPS", awssts.Options{Region: "us-east-2", FIPS: true}, "sts-fips.us-east-2.amazonaws.com", "us-east-2"},
		{"FIPS and dual stack in GovCloud", awssts.Options{Region: "us-gov-east-1", FIPS: true, DualStack: true}, "sts.us-gov-east-1.amazonaws.com", "us-gov-east-1"},
		{"China", awssts.Options{Region: "cn-north-1"}, "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"global", awssts.Options{Region: "aws-global"}, "sts.amazonaws.com", "us-east-1"},
		{"legacy", awssts.Options{Region: "eu-central-1", Legacy: true}, "sts.amazonaws.com", "us-east-1"},
		{"another endpoint", awssts.Options{Region: "eu-central-1", Endpoint: "https://proxy.example"}, "sts.eu-central-1.amazonaws.com", "eu-central-1"},
		{"another service", awssts.Options{Endpoint: "https://minio.example"}, "", ""},
	} {
		if host, region := test.options.STS(); host != test.host || region != test.region {
			t.Errorf("%s: STS = %s, %s, want %s, %s", test.name, host, region, test.host, test.region)
		}
	}
}

// The SDK knows the same names by generated rules: they must agree.
func TestEndpointsAreThoseOfTheSDK(t *testing.T) {
	regions := map[string]string{
		"eu-west-1": "aws", "us-east-1": "aws", "il-central-1": "aws", "mx-central-1": "aws", "ap-southeast-7": "aws",
		"cn-north-1": "aws-cn", "cn-northwest-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-gov-east-1": "aws-us-gov",
		"eusc-de-east-1": "aws-eusc", "us-iso-east-1": "aws-iso", "us-iso-west-1": "aws-iso",
		"us-isob-east-1": "aws-iso-b", "us-isob-west-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e",
		"us-isof-south-1": "aws-iso-f", "us-isof-east-1": "aws-iso-f",
	}
	for region, partition := range regions {
		for _, variant := range []struct{ fips, dualStack bool }{{}, {fips: true}, {dualStack: true}, {fips: true, dualStack: true}} {
			want, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), sts.EndpointParameters{
				Region:            aws.String(region),
				UseFIPS:           aws.Bool(variant.fips),
				UseDualStack:      aws.Bool(variant.dualStack),
				UseGlobalEndpoint: aws.Bool(false),
			})
			if err != nil {
				t.Fatal(err)
			}
			got := endpointOf(t, awssts.Options{
				RoleARN: "arn:" + partition + ":iam::123456789012:role/r",
				Region:  region, FIPS: variant.fips, DualStack: variant.dualStack,
			})
			if got != want.URI.String() {
				t.Errorf("endpoint of %s %+v = %s, want %s", region, variant, got, want.URI.String())
			}
		}
	}
}

// What Legacy moves to the global endpoint is what the SDK's rules move there.
func TestLegacyRegionsAreThoseOfTheSDK(t *testing.T) {
	for _, region := range []string{
		"af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "ap-southeast-1",
		"ap-southeast-2", "ap-southeast-3", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1",
		"eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1",
		"us-east-1", "us-east-2", "us-west-1", "us-west-2",
	} {
		want, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), sts.EndpointParameters{
			Region: aws.String(region), UseGlobalEndpoint: aws.Bool(true), UseFIPS: aws.Bool(false), UseDualStack: aws.Bool(false),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := endpointOf(t, awssts.Options{Region: region, Legacy: true}); got != want.URI.String() {
			t.Errorf("legacy endpoint of %s = %s, want %s", region, got, want.URI.String())
		}
	}
}
