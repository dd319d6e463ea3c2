package cloudtest

import (
	"path"
	"slices"
	"strings"
)

// trusts evaluates the role's trust policy for a web identity.
func (r Role) trusts(token Verified) bool {
	audiences := token.Audience
	// The condition key …:aud is filled from azp where a token has that claim.
	if azp, ok := token.Claims["azp"].(string); ok {
		audiences = []string{azp}
	}
	return r.Issuer != "" && r.Issuer == token.Issuer &&
		like(r.Subjects, token.Subject) &&
		(len(r.Audiences) == 0 || slices.ContainsFunc(audiences, func(aud string) bool { return like(r.Audiences, aud) }))
}

// trustsCaller evaluates it for a session of a role.
func (r Role) trustsCaller(caller session, externalID string) bool {
	return slices.Contains(r.TrustedAccounts, caller.Account) && (r.ExternalID == "" || r.ExternalID == externalID)
}

// lacks names the action that the attachments need and that the trust policy does not allow; empty if
// there is none.
func (r Role) lacks(n attachments) string {
	switch {
	case len(n.tags) > 0 && !r.TagSession:
		return "sts:TagSession"
	case n.sourceIdentity != "" && !r.SetSourceIdentity:
		return "sts:SetSourceIdentity"
	}
	return ""
}

// like is the condition operator StringLike.
func like(patterns []string, value string) bool {
	// path.Match lets * stop at a slash and gives brackets a meaning; StringLike does neither.
	neutral := strings.NewReplacer("/", "\x00", "[", "\\[", "\\", "\\\\")
	subject := strings.ReplaceAll(value, "/", "\x00")
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(neutral.Replace(pattern), subject)
		return ok && err == nil
	})
}
