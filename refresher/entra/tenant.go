package entra

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// checkTenant refuses an access token that is not of the expected tenant. Microsoft says that clients
// must not read access tokens, whose format may change: so it is done where somebody asks for the guard.
func (x *Exchanger) checkTenant(token refresher.Secret) error {
	if x.tenantID == "" {
		return nil
	}
	tenant, err := tenantOf(token)
	if err != nil {
		return &refresher.Error{
			Class: refresher.Denied,
			Code:  CodeTenantUnknown,
			Err:   fmt.Errorf("the tenant of the access token cannot be told: %w", err),
			Hint:  "expectedTenantId is " + x.tenantID + ", but this resource's tokens do not show their tenant: leave expectedTenantId out for it",
		}
	}
	if !strings.EqualFold(tenant, x.tenantID) {
		return &refresher.Error{
			Class: refresher.Denied,
			Code:  CodeTenantMismatch,
			Err:   errors.New("the access token is of another tenant than expected"),
			Hint:  fmt.Sprintf("the token says tid=%.100q, expectedTenantId is %q: correct the one that is wrong, tenantId or expectedTenantId", tenant, x.tenantID),
		}
	}
	return nil
}

// tenantOf reads the claim "tid" of a JWT. The token came from the authority over TLS: its signature,
// which only the resource can check, does not matter here. Errors hold no part of the token.
func tenantOf(token refresher.Secret) (string, error) {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return "", errors.New("it is not a JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		TenantID string `json:"tid"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return "", errors.New("it is not a JWT")
	}
	if claims.TenantID == "" {
		return "", errors.New("it has no claim tid")
	}
	return claims.TenantID, nil
}
