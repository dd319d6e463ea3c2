package entra

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// remedies are for numbers that are about the configuration rather than the assertion.
var remedies = map[int]string{
	700016:  "check clientId and tenantId: this application is not in this tenant",
	90002:   "check tenantId, and authorityHost: each cloud has tenants of its own",
	50001:   unknownResource,
	500011:  unknownResource,
	70011:   wrongScope,
	28002:   wrongScope,
	1002012: wrongScope,
	7000112: "enable the application in its tenant",
	53003:   "let the Conditional Access policies for workload identities admit this application from here",
	50196:   "find out who else asks for tokens of this application all the time",
	700222:  ownToken,
	700226:  ownToken,
	700227:  ownToken,
}

const (
	unknownResource = "check the spelling of the resource, and that its application is installed in the tenant"
	wrongScope      = "ask for one resource, or for one scope that ends in /.default"
	ownToken        = "use a source whose tokens are not of Entra itself: it does not take those as assertions"
)

// hint says what to do about an error. If that has to do with the assertion, it shows what Entra compared.
func hint(number int, subject refresher.Token) string {
	var advice string
	switch {
	case number == 70025:
		advice = "add a federated credential to the application, with exactly what the token says"
	case number == 7002138:
		advice = "the federated credential's subject differs in upper and lower case"
	// Numbers are refined by appending digits: 70021 became 700211 and so on.
	case strings.HasPrefix(strconv.Itoa(number), "70021"):
		advice = "a federated credential of this application must have exactly these, with or without the slash at the end of the issuer as here; a new one takes minutes to be seen"
	case number == 700024 || number == 500133:
		return lifetimeHint(subject)
	case number == 90061:
		advice = "Entra must be able to read the issuer's /.well-known/openid-configuration from the internet"
	case number == 700027 || number == 50013 || number == 50166:
		advice = "check that the issuer publishes the key that signed the token; after a change of keys this heals by itself"
	case number == 50027 || number == 50012 || number == 5002738:
		advice = "check that the source yields a JWT that is signed with RS256"
	default:
		return remedies[number]
	}
	claims, err := refresher.ParseClaims(subject.Raw)
	if err != nil {
		return fmt.Sprintf("%s; the token is not a JWT: %v", advice, err)
	}
	// Claims are no secret, only the signed whole is; they are quoted because their text is the issuer's.
	return fmt.Sprintf("%s; the token says iss=%.200q sub=%.200q aud=%.200q",
		advice, claims.Issuer, claims.Subject, strings.Join(claims.Audience, " "))
}

// lifetimeHint tells the two causes of "outside its time" apart: an old token, or a wrong clock.
func lifetimeHint(subject refresher.Token) string {
	claims, err := refresher.ParseClaims(subject.Raw)
	if err != nil {
		return "check that the source renews the token, and the clocks"
	}
	expires := claims.Expires.UTC().Format(time.RFC3339)
	if time.Now().After(claims.Expires) {
		return "the token expired at " + expires + ": whoever writes its file does not renew it (a subPath mount never changes)"
	}
	return "the local clock finds the token valid until " + expires + ": check the clocks of this node and of the issuer"
}
