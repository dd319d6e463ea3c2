package cloudtest

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// assumeRoleWithWebIdentity trades a JWT for a session. The request is not signed.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (a *AWS) assumeRoleWithWebIdentity(call awsCall) (any, *awsError) {
	p := call.parameters
	token := p.Get("WebIdentityToken")
	wanted, problems := parseAssume(call)
	problems = append(problems, wanted.readPolicies(p)...)
	switch {
	case token == "":
		problems = append(problems, "Value null at 'webIdentityToken' failed to satisfy constraint: Member must not be null")
	case len(token) < 4:
		problems = append(problems, "Value at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4")
	case len(token) > maxAWSToken:
		problems = append(problems, "Value at 'webIdentityToken' failed to satisfy constraint: Member must have length less than or equal to 20000")
	}
	if failure := validationErrors(problems); failure != nil {
		return nil, failure
	}
	role, ok := parseRoleARN(wanted.arn)
	if !ok {
		return nil, &awsError{http.StatusBadRequest, "ValidationError", "Request ARN is invalid"}
	}
	if p.Has("ProviderId") {
		return nil, &awsError{http.StatusBadRequest, "InvalidParameterValue",
			"ProviderId is for OAuth 2.0 providers and must not be given for an OpenID Connect provider"}
	}
	said, err := peek(token)
	if err != nil {
		return nil, a.webIdentityError(err)
	}
	provider, ok := a.provider(role.account, said.Issuer)
	if !ok {
		return nil, invalidIdentity("No OpenIDConnect provider found in your account for " + said.Issuer)
	}
	said, err = a.verifier.Verify(call.Context(), token, Trust{
		Issuer:     provider.Issuer,
		Audiences:  provider.Audiences,
		Algorithms: awsAlgorithms,
	})
	if err != nil {
		return nil, a.webIdentityError(err)
	}
	policy, ok := a.role(wanted.arn)
	if !ok || !policy.trusts(said) {
		return nil, &awsError{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	if failure := wanted.checkDuration(policy); failure != nil {
		return nil, failure
	}
	if failure := wanted.readClaims(said.Claims); failure != nil {
		return nil, failure
	}
	if failure := a.check(wanted.attachments, role); failure != nil {
		return nil, failure
	}
	if denied := policy.lacks(wanted.attachments); denied != "" {
		return nil, &awsError{http.StatusForbidden, "AccessDenied", "Not authorized to perform " + denied}
	}
	audience := said.Audience[slices.IndexFunc(said.Audience, func(aud string) bool {
		return slices.Contains(provider.Audiences, aud)
	})]
	key, s := a.issue(wanted)
	return assumeRoleWithWebIdentityResponse{
		Result: webIdentityResult{
			Audience:    audience,
			User:        s.user(),
			Provider:    said.Issuer,
			Credentials: s.credentials(key),
			Subject:     said.Subject,
			attached:    wanted.attached(),
		},
		RequestID: call.id,
	}, nil
}

// assumeRole trades one session for another: role chaining.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (a *AWS) assumeRole(call awsCall) (any, *awsError) {
	caller, failure := a.authenticate(call)
	if failure != nil {
		return nil, failure
	}
	wanted, problems := parseAssume(call)
	problems = append(problems, wanted.readPolicies(call.parameters)...)
	problems = append(problems, wanted.readTags(call.parameters)...)
	external := call.parameters.Get("ExternalId")
	if call.parameters.Has("ExternalId") {
		problems = append(problems, checkText("externalId", external, 2, 1224, externalID)...)
	}
	if failure := validationErrors(problems); failure != nil {
		return nil, failure
	}
	role, ok := parseRoleARN(wanted.arn)
	if !ok {
		return nil, &awsError{http.StatusBadRequest, "ValidationError", wanted.arn + " is invalid"}
	}
	// All keys of this service are a role's, so each AssumeRole is a chain.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
	if wanted.duration > time.Hour {
		return nil, &awsError{http.StatusBadRequest, "ValidationError",
			"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"}
	}
	if failure := wanted.inherit(caller); failure != nil {
		return nil, failure
	}
	if failure := a.check(wanted.attachments, role); failure != nil {
		return nil, failure
	}
	policy, ok := a.role(wanted.arn)
	denied := policy.lacks(wanted.attachments)
	if !ok || !policy.trustsCaller(caller, external) {
		denied = "sts:AssumeRole"
	}
	if denied != "" {
		return nil, &awsError{http.StatusForbidden, "AccessDenied", fmt.Sprintf(
			"User: %s is not authorized to perform: %s on resource: %s", caller.ARN, denied, wanted.arn)}
	}
	key, s := a.issue(wanted)
	return assumeRoleResponse{
		Result:    assumeRoleResult{User: s.user(), Credentials: s.credentials(key), attached: wanted.attached()},
		RequestID: call.id,
	}, nil
}

// getCallerIdentity tells whose key it was signed with. It needs no permission.
func (a *AWS) getCallerIdentity(call awsCall) (any, *awsError) {
	caller, failure := a.authenticate(call)
	if failure != nil {
		return nil, failure
	}
	return getCallerIdentityResponse{
		Result:    callerIdentity{ARN: caller.ARN, UserID: caller.userID, Account: caller.Account},
		RequestID: call.id,
	}, nil
}

// assume is what both kinds of AssumeRole ask for.
type assume struct {
	arn         string
	sessionName string
	duration    time.Duration
	attachments
}

var (
	sessionNameForm = regexp.MustCompile(`^[\w+=,.@-]*$`)
	externalID      = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
	anything        = regexp.MustCompile(``)
)

// parseAssume reads the parameters and lists all that is wrong with them.
func parseAssume(call awsCall) (assume, []string) {
	p := call.parameters
	wanted := assume{arn: p.Get("RoleArn"), sessionName: p.Get("RoleSessionName"), duration: time.Hour}
	problems := checkText("roleArn", wanted.arn, 20, 2048, anything)
	problems = append(problems, checkText("roleSessionName", wanted.sessionName, 2, 64, sessionNameForm)...)
	if text := p.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		const constraint = "Value '%s' at 'durationSeconds' failed to satisfy constraint: Member must %s"
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf(constraint, text, "be an integer"))
		case seconds < 900:
			problems = append(problems, fmt.Sprintf(constraint, text, "have value greater than or equal to 900"))
		case seconds > 43200:
			problems = append(problems, fmt.Sprintf(constraint, text, "have value less than or equal to 43200"))
		}
		wanted.duration = time.Duration(seconds) * time.Second
	}
	return wanted, problems
}

// checkText words the violations of a string parameter as the service does.
func checkText(name, value string, shortest, longest int, pattern *regexp.Regexp) []string {
	if value == "" {
		return []string{"Value null at '" + name + "' failed to satisfy constraint: Member must not be null"}
	}
	var problems []string
	violates := func(constraint string, args ...any) {
		problems = append(problems, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: Member must ", value, name)+
			fmt.Sprintf(constraint, args...))
	}
	if len(value) < shortest {
		violates("have length greater than or equal to %d", shortest)
	}
	if len(value) > longest {
		violates("have length less than or equal to %d", longest)
	}
	if !pattern.MatchString(value) {
		violates("satisfy regular expression pattern: %s", strings.Trim(pattern.String(), "^$"))
	}
	return problems
}

// validationErrors joins the violations into the one error that lists them.
func validationErrors(problems []string) *awsError {
	if len(problems) == 0 {
		return nil
	}
	noun := "errors"
	if len(problems) == 1 {
		noun = "error"
	}
	return &awsError{http.StatusBadRequest, "ValidationError",
		fmt.Sprintf("%d validation %s detected: %s", len(problems), noun, strings.Join(problems, "; "))}
}

func (w assume) checkDuration(role Role) *awsError {
	if w.duration <= max(role.MaxSession, time.Hour) {
		return nil
	}
	return &awsError{http.StatusBadRequest, "ValidationError",
		"The requested DurationSeconds exceeds the MaxSessionDuration set for this role."}
}

func (w assume) attached() attached {
	return attached{PackedPolicySize: w.packed(), SourceIdentity: w.sourceIdentity}
}

func (a *AWS) provider(account, issuer string) (OIDCProvider, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.providers[providerKey{account, issuer}]
	return p, ok
}

func (a *AWS) role(arn string) (Role, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.roles[arn]
	return r, ok
}

// webIdentityError gives a refused token the words of STS.
func (a *AWS) webIdentityError(err error) *awsError {
	refusal, ok := errors.AsType[*VerifyError](err)
	if !ok {
		return &awsError{http.StatusInternalServerError, "InternalFailure", err.Error()}
	}
	switch refusal.Reason {
	case Malformed:
		return invalidIdentity("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	case IssuerUnreachable:
		return &awsError{http.StatusBadRequest, "IDPCommunicationError", "The request to the identity provider did not succeed"}
	case IssuerInvalid, UnknownKey:
		return invalidIdentity("Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements")
	case WrongAudience:
		return invalidIdentity("Incorrect token audience")
	case MissingClaim:
		return invalidIdentity("Missing a required claim: " + refusal.Claim)
	case Expired:
		return &awsError{http.StatusBadRequest, "ExpiredTokenException", fmt.Sprintf(
			"Token expired: current date/time %d must be before the expiration date/time %d", a.now().Unix(), refusal.Token.Expires.Unix())}
	}
	return invalidIdentity("The ID Token provided is not valid: " + refusal.Error())
}

func invalidIdentity(message string) *awsError {
	return &awsError{http.StatusBadRequest, "InvalidIdentityToken", message}
}
