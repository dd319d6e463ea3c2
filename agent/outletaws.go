package agent

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/awscontainer"
	"github.com/wisp-sidecar/wisp/endpoints/imds"
	"github.com/wisp-sidecar/wisp/refresher"
)

// awsContainerOutlet is the AWS container credentials endpoint.
type awsContainerOutlet struct {
	Listen     string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	Path       string `yaml:"path" doc:"path of the one identity (default /aws/IDENTITY, which several identities always have)"`
	SecretFile string `yaml:"secretFile" doc:"file with the secret that callers have to send as Authorization; made if missing, and what AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names (default: no secret)"`
	SecretEnv  string `yaml:"secretEnv" doc:"environment variable with that secret, instead of a file"`
}

func (o *awsContainerOutlet) check() []refresher.FieldError { return checkPath(o.Path) }
func (o *awsContainerOutlet) accepts(s shape) string        { return only(accessKey, s) }
func (o *awsContainerOutlet) listen() string                { return o.Listen }
func (o *awsContainerOutlet) secret() secretPlace           { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *awsContainerOutlet) guarded() bool                 { return o.secret() != (secretPlace{}) }
func (o *awsContainerOutlet) String() string {
	return at(o.Listen, cmp.Or(o.Path, "/aws/"+anyIdentity))
}

func (o *awsContainerOutlet) detect(e *outletEnvironment) {
	o.Listen = e.listen
	if e.shared { // else nobody would know of it
		o.SecretFile = e.secretFile
	}
}

func (o *awsContainerOutlet) protocol(identities []outletIdentity, secret refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	if o.Path != "" && len(identities) > 1 {
		return nil, fmt.Errorf("path is for one identity; %d have /aws/NAME each", len(identities))
	}
	options := awscontainer.Options{Secret: secret}
	for _, i := range identities {
		entry := awscontainer.Entry{Path: cmp.Or(o.Path, "/aws/"+i.name), Provider: i.identity}
		if aws, ok := i.exchange.(*awsExchange); ok {
			entry.RoleARN = aws.lastRole()
		}
		options.Entries = append(options.Entries, entry)
	}
	return awscontainer.New(options), nil
}

func (o *awsContainerOutlet) variables(i outletIdentity, secret refresher.Secret) []Variable {
	list := []Variable{{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Value: at(o.Listen, cmp.Or(o.Path, "/aws/"+i.name))}}
	switch {
	case o.SecretEnv != "":
		list = append(list, Variable{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN", Value: secret.Reveal(), Secret: true})
	case o.SecretFile != "":
		list = append(list, Variable{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Value: o.SecretFile})
	}
	// Several SDKs would go on to the node's own role if something failed here.
	list = append(list, Variable{Name: metadataDisabled, Value: "true"})
	return append(list, awsRegion(i)...)
}

// awsRegion is the identity's region, in both spellings: boto3 and the AWS CLI 1 read only the second.
func awsRegion(i outletIdentity) []Variable {
	aws, ok := i.exchange.(*awsExchange)
	if !ok || aws.region() == "" {
		return nil
	}
	return []Variable{{Name: "AWS_REGION", Value: aws.region()}, {Name: "AWS_DEFAULT_REGION", Value: aws.region()}}
}

// imdsOutlet is the instance metadata service of Amazon EC2.
type imdsOutlet struct {
	Listen             string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	AllowV1            bool   `yaml:"allowV1" doc:"also answer requests without a session token, as version 1 did; a forged request through the application can be one (default false)"`
	Region             string `yaml:"region" doc:"placement/region (default: the region of the exchange, if that is one)"`
	AvailabilityZone   string `yaml:"availabilityZone" doc:"placement/availability-zone: the region and one letter (default: the region's a)"`
	InstanceID         string `yaml:"instanceId" doc:"instance-id: i-0123456789abcdef0"`
	InstanceProfileARN string `yaml:"instanceProfileArn" doc:"InstanceProfileArn of iam/info: arn:PARTITION:iam::ACCOUNT:instance-profile/NAME (default: that of the role's name)"`
	AccountID          string `yaml:"accountId" doc:"accountId of the instance identity document: 12 digits (default: the role's account)"`
}

func (o *imdsOutlet) check() []refresher.FieldError {
	var list []refresher.FieldError
	complain := func(field, problem string) {
		list = append(list, refresher.FieldError{Field: field, Problem: problem})
	}
	if o.Region != "" && !identityName.MatchString(o.Region) { // both are labels of a host's name
		complain("region", "is not the name of a region")
	}
	if hex, ok := strings.CutPrefix(o.InstanceID, "i-"); o.InstanceID != "" && (!ok || hex == "" || strings.Trim(hex, "0123456789abcdef") != "") {
		complain("instanceId", "must be i- and hexadecimal digits")
	}
	if o.InstanceProfileARN != "" && !(strings.HasPrefix(o.InstanceProfileARN, "arn:") && strings.Contains(o.InstanceProfileARN, ":instance-profile/")) {
		complain("instanceProfileArn", "is not of the form arn:<partition>:iam::<12 digits>:instance-profile/<name>")
	}
	if o.AccountID != "" && !isAccount(o.AccountID) {
		complain("accountId", "must be the 12 digits of an account; write it in quotes")
	}
	return list
}

func isAccount(text string) bool { return len(text) == 12 && digits.MatchString(text) }

// accountOf finds the account in an ARN; empty if it has none, as those of other services than AWS.
func accountOf(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 6 || !isAccount(parts[4]) {
		return ""
	}
	return parts[4]
}

func (o *imdsOutlet) warning() string {
	if !o.AllowV1 {
		return ""
	}
	return "allowV1 answers any GET, so a forged request through the application gets the credentials"
}

func (o *imdsOutlet) accepts(s shape) string { return only(accessKey, s) }
func (o *imdsOutlet) listen() string         { return o.Listen }
func (o *imdsOutlet) secret() secretPlace    { return secretPlace{} }
func (o *imdsOutlet) guarded() bool          { return false }
func (o *imdsOutlet) String() string {
	return at(o.Listen, "/latest/meta-data/iam/security-credentials/")
}

func (o *imdsOutlet) detect(e *outletEnvironment) { o.Listen = e.listen }

func (o *imdsOutlet) protocol(identities []outletIdentity, _ refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	if len(identities) > 1 {
		return nil, errors.New("shows one identity, as an EC2 instance has one role: give each an outlet with a listen address of its own")
	}
	aws := identities[0].exchange.(*awsExchange) // accepts has let nothing else through
	role := aws.lastRole()
	options := imds.Options{
		Provider: identities[0].identity, AllowV1: o.AllowV1,
		Role:   cmp.Or(role[strings.LastIndexByte(role, '/')+1:], identities[0].name),
		Region: cmp.Or(o.Region, aws.region()), AvailabilityZone: o.AvailabilityZone, InstanceID: o.InstanceID,
		AccountID: cmp.Or(o.AccountID, accountOf(role)), InstanceProfileARN: o.InstanceProfileARN,
	}
	letter, inRegion := strings.CutPrefix(o.AvailabilityZone, options.Region)
	switch {
	case options.Region == "" && o.AvailabilityZone != "":
		return nil, errors.New("has an availabilityZone, but no region; set that, too")
	case options.Region != "" && o.AvailabilityZone == "":
		options.AvailabilityZone = options.Region + "a"
	case o.AvailabilityZone != "" && !(inRegion && len(letter) == 1 && letter >= "a" && letter <= "z"):
		return nil, fmt.Errorf("has the availabilityZone %q, which is not the region %s and one letter: clients cut that off", o.AvailabilityZone, options.Region)
	}
	if o.InstanceProfileARN == "" && accountOf(role) != "" { // where IAM's console makes the profile, it has the role's name
		options.InstanceProfileARN = strings.Replace(role, ":role/", ":instance-profile/", 1)
	}
	return imds.New(options), nil
}

func (o *imdsOutlet) variables(i outletIdentity, _ refresher.Secret) []Variable {
	return append([]Variable{
		{Name: metadataEndpoint, Value: at(o.Listen, "")},
		{Name: "AWS_EC2_METADATA_V1_DISABLED", Value: "true"}, // clients that know version 2 need not try version 1
	}, awsRegion(i)...)
}
