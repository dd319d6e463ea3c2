package awssts

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Hop is a role that is assumed from the session of the one before it.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
type Hop struct {
	// RoleARN is the role to assume, in the same partition as all others. Required.
	RoleARN string
	// SessionName is as in [Options]; empty means that of the first session.
	SessionName string
	// Duration is the lifetime to ask for, in whole seconds: 15 minutes to MaxHopDuration. Zero means
	// MaxHopDuration for the last hop, and MinDuration for those that only assume the next one.
	Duration time.Duration
	// ExternalID is what the role's owner asks callers to show, 2 to 1224 of A-Za-z0-9_+=,.@:/-. It is no
	// secret.
	ExternalID string
	// SourceIdentity is a name, 2 to 64 of A-Za-z0-9_+=,.@-, that stays with the session and with those
	// that begin in it: only one hop can set it. Its role, and those after it, must allow
	// sts:SetSourceIdentity.
	SourceIdentity string
	// Tags are session tags, 50 at most, with keys of 1 to 128 characters and values of up to 256. Keys
	// are the same in any case. TransitiveTagKeys are those of them that later hops carry along, where
	// they cannot be set again. Their role, and for the latter those after it, must allow sts:TagSession.
	Tags              map[string]string
	TransitiveTagKeys []string
	// Policy and PolicyARNs are as in [Options].
	Policy     string
	PolicyARNs []string
}

const maxTags = 50

var goodExternalID = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]{2,}$`)

// isTagText tells what keys and values of tags may consist of.
func isTagText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r)
	})
}

// checkChain judges each hop, and what the ones before leave it to do.
func (o Options) checkChain() problems {
	var found problems
	partition := parseRole(o.RoleARN).partition
	transitive := make(map[string]int) // the hop that made a key transitive, by the key in lower case
	identified := -1                   // the hop that set the source identity
	for i, hop := range o.Chain {
		p := hop.check(o.Endpoint != "")
		other := parseRole(hop.RoleARN).partition
		if partition != "" && other != "" && other != partition {
			p.add("roleArn", "is in partition %s, but roleArn is in %s: no session leads from one to another", other, partition)
		}
		if hop.SourceIdentity != "" && identified >= 0 {
			p.add("sourceIdentity", "is set by chain.%d already, stays, and cannot be set again", identified)
		} else if hop.SourceIdentity != "" {
			identified = i
		}
		for _, key := range slices.Sorted(maps.Keys(hop.Tags)) {
			if by, ok := transitive[strings.ToLower(key)]; ok {
				p.add("tags", "key %q is transitive since chain.%d, stays, and cannot be set again", key, by)
			}
		}
		for _, key := range hop.TransitiveTagKeys {
			transitive[strings.ToLower(key)] = i
		}
		found = append(found, p.within(fmt.Sprintf("chain.%d", i))...)
	}
	return found
}

func (h Hop) check(other bool) problems {
	var found problems
	if h.RoleARN == "" {
		found.add("roleArn", "is required")
	} else {
		found.checkRole(h.RoleARN, other)
	}
	found.checkSessionName(h.SessionName)
	switch d := h.Duration; {
	case d > MaxHopDuration:
		found.add("duration", "must be 1h at most: STS gives no more to a role that is assumed from another one's session, whatever the role allows")
	case d != 0 && d < MinDuration || d%time.Second != 0:
		found.add("duration", "must be 15m to 1h in whole seconds")
	}
	if id := h.ExternalID; id != "" && (!goodExternalID.MatchString(id) || len(id) > 1224) {
		found.add("externalId", "must be 2 to 1224 of the characters A-Z a-z 0-9 _ + = , . @ : / -")
	}
	if id := h.SourceIdentity; id != "" && !isName(id) {
		found.add("sourceIdentity", "must be 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -")
	}
	found.checkTags(h.Tags, h.TransitiveTagKeys)
	found.checkPolicies(h.Policy, h.PolicyARNs, parseRole(h.RoleARN))
	return found
}

func (p *problems) checkTags(tags map[string]string, transitive []string) {
	if len(tags) > maxTags {
		p.add("tags", "has %d entries; STS takes %d at most", len(tags), maxTags)
	}
	spelled := make(map[string]string) // by the key in lower case
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		lower := strings.ToLower(key)
		switch first, twice := spelled[lower]; {
		case key == "" || utf8.RuneCountInString(key) > 128 || !isTagText(key):
			p.add("tags", "key %.40q: must be 1 to 128 letters, digits, blanks and _ . : / = + - @", key)
		case strings.HasPrefix(lower, "aws:"):
			p.add("tags", "key %q: keys that begin with aws: are reserved", key)
		case twice:
			p.add("tags", "keys %q and %q differ only in case, and are one key to STS", first, key)
		case utf8.RuneCountInString(tags[key]) > 256 || !isTagText(tags[key]):
			p.add("tags", "the value of %q: must be up to 256 letters, digits, blanks and _ . : / = + - @", key)
		}
		spelled[lower] = key
	}
	named := make(map[string]bool)
	for i, key := range transitive {
		field, lower := fmt.Sprintf("transitiveTagKeys.%d", i), strings.ToLower(key)
		if _, ok := spelled[lower]; !ok {
			p.add(field, "%.40q is not a key of tags", key)
		} else if named[lower] {
			p.add(field, "%q is named twice", key)
		}
		named[lower] = true
	}
}

// hopDuration is the lifetime to ask for at a hop.
func (o Options) hopDuration(i int) time.Duration {
	switch {
	case o.Chain[i].Duration != 0:
		return o.Chain[i].Duration
	case i < len(o.Chain)-1:
		return MinDuration // as for the first session: it signs one request, at once
	}
	return MaxHopDuration
}
