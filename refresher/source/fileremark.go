package source

import (
	"slices"
	"time"
)

// shortLifetime is what a token should live at least. The kubelet's minimum is 10 minutes, and renewing
// at 80 % of that leaves two for everything that can go wrong.
const shortLifetime = 20 * time.Minute

// remark logs what is worth knowing about a token that was just taken over from the file; previous
// is the one that it replaces, or nil.
func (f *File) remark(previous, next *reading) {
	log := f.log.With("path", f.path, "token", next.token.Fingerprint())
	if previous == nil {
		log.Info("subject token read", "expires", next.token.Expires)
	} else {
		log.Info("subject token replaced", "expires", next.token.Expires, "after", next.at.Sub(previous.at).Round(time.Second))
	}
	if !isJWT(f.tokenType) {
		return
	}
	if life := lifetime(next); previous == nil && life > 0 && life < shortLifetime {
		log.Warn("subject token is short-lived", "lifetime", life,
			"hint", "set expirationSeconds of the projected volume to 3600")
	}
	if len(f.audiences) > 0 && !slices.ContainsFunc(next.claims.Audience, f.expects) {
		log.Warn("subject token is for another audience", "audience", next.claims.Audience, "want", f.audiences,
			"hint", "set the audience of the projected volume to the one that the cloud expects")
	}
	if previous == nil {
		return
	}
	if previous.claims.Issuer != next.claims.Issuer {
		log.Warn("subject token has another issuer than the one before",
			"issuer", next.claims.Issuer, "before", previous.claims.Issuer)
	}
	if next.token.Expires.Before(previous.token.Expires) {
		log.Warn("subject token expires earlier than the one before",
			"expires", next.token.Expires, "before", previous.token.Expires)
	}
}

func (f *File) expects(audience string) bool { return slices.Contains(f.audiences, audience) }

// lifetime is how long a token lives altogether, 0 if it does not say.
func lifetime(r *reading) time.Duration {
	if r.token.Issued.IsZero() || r.token.Expires.IsZero() {
		return 0
	}
	return r.token.Expires.Sub(r.token.Issued)
}

// overdue reports whether a token has less than a tenth of its life left. The kubelet replaces one
// when a fifth is left, so a token that gets this old is not being replaced at all.
func overdue(r *reading, now time.Time) bool {
	begin := r.token.Issued
	if begin.IsZero() {
		begin = r.at
	}
	life := r.token.Expires.Sub(begin)
	return !r.token.Expires.IsZero() && r.token.Expires.Sub(now) < life/10
}
