package cloudtest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const assertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authenticate checks the client assertion: that a federated credential of the application matches
// it, then that it is genuine.
func (e *Entra) authenticate(r *http.Request, app App, form url.Values) *entraError {
	assertion := form.Get("client_assertion")
	if assertion == "" {
		return entraRefusal(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	if kind := form.Get("client_assertion_type"); kind != assertionTypeJWT {
		return entraRefusal(90023, "Unsupported 'client_assertion_type' value '%s'.", kind)
	}
	said, err := peek(assertion)
	if err != nil {
		return e.assertionError(err)
	}
	trusted, failure := matchCredential(app.Credentials, said)
	if failure != nil {
		return failure
	}
	_, err = e.verifier.Verify(r.Context(), assertion, Trust{
		Issuer:    trusted.Issuer,
		Audiences: []string{trusted.Audience},
	})
	if err != nil {
		return e.assertionError(err)
	}
	return nil
}

const checkCredential = " Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"

// matchCredential finds the federated credential that a token is for. The refusal names the first
// part, in the order issuer, subject, audience, for which none is left.
func matchCredential(credentials []FederatedCredential, said Verified) (FederatedCredential, *entraError) {
	const nothing = "No matching federated identity record found for presented assertion "
	if len(credentials) == 0 {
		return FederatedCredential{}, entraRefusal(70025, "The client has no configured federated identity credentials.")
	}
	keep := func(match func(FederatedCredential) bool) bool {
		credentials = slices.DeleteFunc(slices.Clone(credentials), func(c FederatedCredential) bool { return !match(c) })
		return len(credentials) > 0
	}
	if !keep(func(c FederatedCredential) bool { return c.Issuer == said.Issuer }) {
		return FederatedCredential{}, entraRefusal(700211, nothing+"issuer '%s'."+checkCredential, said.Issuer)
	}
	ofIssuer := credentials
	if !keep(func(c FederatedCredential) bool { return c.Subject == said.Subject }) {
		if slices.ContainsFunc(ofIssuer, func(c FederatedCredential) bool { return strings.EqualFold(c.Subject, said.Subject) }) {
			return FederatedCredential{}, entraRefusal(7002138, nothing+"subject '%s'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison."+checkCredential, said.Subject)
		}
		return FederatedCredential{}, entraRefusal(700213, nothing+"subject '%s'."+checkCredential, said.Subject)
	}
	if !keep(func(c FederatedCredential) bool { return slices.Contains(said.Audience, c.Audience) }) {
		return FederatedCredential{}, entraRefusal(700212, nothing+"audience '%s'."+checkCredential, strings.Join(said.Audience, ", "))
	}
	return credentials[0], nil
}

// assertionError gives a refused token the words of Entra.
func (e *Entra) assertionError(err error) *entraError {
	refusal, ok := errors.AsType[*VerifyError](err)
	if !ok {
		return entraRefusal(90033, "A transient error has occurred. Please try again.")
	}
	switch refusal.Reason {
	case UnsupportedAlgorithm:
		return entraRefusal(5002738, "Invalid JWT token: %v.", refusal)
	case IssuerUnreachable, IssuerInvalid:
		return entraRefusal(90061, "Request to External OIDC endpoint failed.")
	case UnknownKey:
		return entraRefusal(700027, "Client assertion failed signature validation. [Reason - The key was not found.] https://learn.microsoft.com/entra/identity-platform/certificate-credentials")
	case BadSignature:
		return entraRefusal(50013, "Assertion failed signature validation. [Reason - The provided signature value did not match the expected signature value.]")
	case Expired, NotYetValid:
		const precise = "2006-01-02T15:04:05.0000000Z"
		return entraRefusal(700024, "Client assertion is not within its valid time range. Current time: %s, assertion valid from %s, expiry time of assertion %s. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
			e.now().UTC().Format(precise), validFrom(refusal.Token).UTC().Format(precise), refusal.Token.Expires.UTC().Format(precise))
	}
	return entraRefusal(50027, "JWT token is invalid or malformed: %v.", refusal)
}

// validFrom is nbf, or 1970 without it.
func validFrom(token Verified) time.Time {
	from := numericDate(token.Claims["nbf"])
	if from.IsZero() {
		return time.Unix(0, 0)
	}
	return from
}
