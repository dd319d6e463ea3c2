// Package azuretokentest helps to test Azure's outlets: identities and providers whose tokens are easy
// to recognize, and the checks that hold for both outlets.
package azuretokentest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

// Ids of the two identities of [Identities].
const (
	FirstClientID    = "a1b2c3d4-0000-4000-8000-00000000000a"
	FirstObjectID    = "a1b2c3d4-0000-4000-8000-00000000000b"
	SecondClientID   = "e5f6a7b8-0000-4000-8000-00000000000c"
	SecondObjectID   = "e5f6a7b8-0000-4000-8000-00000000000d"
	SecondResourceID = "/subscriptions/e5f6a7b8-0000-4000-8000-00000000000e/resourceGroups/Rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/second"
)

// Now is the time at which all answers are given. The tokens were issued at noon for a day.
func Now() time.Time { return noon.Add(90*time.Second + 700*time.Millisecond) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Token yields a bearer token that spells out whose it is and what for: "token of first for
// https://vault.azure.net/.default".
func Token(name string) endpointstest.Provider {
	return func(_ context.Context, t refresher.Target) (refresher.Credential, error) {
		if t.Audience != "" {
			return refresher.Credential{}, fmt.Errorf("asked for an ID token for %s", t.Audience)
		}
		return refresher.Credential{
			Value:   refresher.Bearer{Token: refresher.Secret("token of " + name + " for " + t.Scope), Type: refresher.TypeAccessToken},
			Issued:  noon,
			Expires: noon.Add(24 * time.Hour),
		}, nil
	}
}

// Fail yields err.
func Fail(err error) endpointstest.Provider {
	return func(context.Context, refresher.Target) (refresher.Credential, error) {
		return refresher.Credential{}, err
	}
}

// AccessKey yields what no Azure outlet can use.
func AccessKey() endpointstest.Provider {
	return func(context.Context, refresher.Target) (refresher.Credential, error) {
		return refresher.Credential{Value: refresher.AccessKey{ID: "AKIAEXAMPLE", Secret: "s", SessionToken: "t"}}, nil
	}
}

// Identities are two identities: the first has no resource id.
func Identities() []azuretoken.Identity {
	return []azuretoken.Identity{
		{ClientID: FirstClientID, ObjectID: FirstObjectID, Provider: Token("first")},
		{ClientID: SecondClientID, ObjectID: SecondObjectID, ResourceID: SecondResourceID, Provider: Token("second")},
	}
}

// Only is one identity with the given provider.
func Only(p endpoints.Provider) []azuretoken.Identity {
	return []azuretoken.Identity{{ClientID: FirstClientID, Provider: p}}
}

// Panicking is a defect.
func Panicking() endpointstest.Provider {
	return func(context.Context, refresher.Target) (refresher.Credential, error) { panic("token") }
}

// Refused are queries that every outlet refuses, by the names of the golden files.
var Refused = []struct{ Golden, Query string }{
	{"malformed_query", "resource=%zz"},
	{"repeated_parameter", "resource=a&resource=a"},
	{"too_many_parameters", "resource=r&" + strings.Join(strings.Split("abcdefghijklmnop", ""), "&")},
	{"long_resource", "resource=" + strings.Repeat("r", 2<<10+1)},
	{"unfit_resource", "resource=a%0D%0Ab"},
}

// ManyFields are header fields of which there are too many.
func ManyFields() string { return strings.Repeat("\nA: 1", 100) }
