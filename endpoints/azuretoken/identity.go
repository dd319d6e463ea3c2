// Package azuretoken is the part of a token request that Azure's emulated outlets have in common:
// which identity and resource a query names, the body of the answer, and the words for a refusal.
// The outlets differ in paths, headers and the frame of an error.
package azuretoken

import (
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// An Identity is one managed identity as clients see it. They may select it by any of its three
// ids; an empty id selects nothing. All ids are compared in any case: clients spell GUIDs both ways,
// and Azure Resource Manager ids are not case-sensitive.
type Identity struct {
	ClientID   string // GUID of the application; also part of every answer
	ObjectID   string // GUID of the principal
	ResourceID string // "/subscriptions/…/userAssignedIdentities/…"
	// Provider yields the identity's tokens, each a [refresher.Bearer].
	Provider endpoints.Provider
}

// A selector says which of its ids a request names an identity by.
type selector int

const (
	unselected selector = iota
	byClientID
	byObjectID
	byResourceID
)

// selectors are all spellings in use: the IMDS, both App Service versions, older SDKs, and the probe
// of Azure.Identity for .NET.
var selectors = map[string]selector{
	"client_id":    byClientID,
	"clientid":     byClientID,
	"object_id":    byObjectID,
	"principal_id": byObjectID,
	"msi_res_id":   byResourceID,
	"mi_res_id":    byResourceID,
	"msi-res-id":   byResourceID,
}

func (i Identity) id(by selector) string {
	switch by {
	case byClientID:
		return i.ClientID
	case byObjectID:
		return i.ObjectID
	default:
		return i.ResourceID
	}
}

// choose returns the identity that q names, the first one if it names none.
func choose(identities []Identity, q Query) (Identity, *endpoints.Refusal) {
	for _, identity := range identities {
		if q.by == unselected || strings.EqualFold(identity.id(q.by), q.id) {
			return identity, nil
		}
	}
	// Azure.Identity for .NET looks for these very words.
	return Identity{}, endpoints.Refuse(endpoints.BadRequest, "Identity not found")
}
