package inject

import (
	"regexp"
	"strconv"
	"sync"
)

// A form is what a value has to look like. What is accepted here, wisp accepts as well: otherwise the sidecar
// would never start, and nobody would look for the reason in an annotation. None accepts what the kubelet would expand
// in a variable, $(NAME).
type form struct {
	want    string // for people: "a port from 1024 to 65535"
	pattern string // matches the whole
	// least and most are the bounds of a number, or if least is 0, of the length in bytes. 0 and 0: none but those
	// of the pattern.
	least, most int
}

func (f form) fits(value string) bool {
	if f.least == 0 && f.most > 0 && len(value) > f.most || !whole(f.pattern).MatchString(value) {
		return false
	}
	number, err := strconv.Atoi(value)
	return f.least == 0 || err == nil && f.least <= number && number <= f.most
}

// expressions are those that have been needed, by pattern: to compile one takes longer than all else that is done for a
// Pod, and a list of tokens needs the same one hundreds of times.
var expressions sync.Map // string to *regexp.Regexp

// whole is the expression that matches texts of which all is like the pattern.
func whole(pattern string) *regexp.Regexp {
	if e, ok := expressions.Load(pattern); ok {
		return e.(*regexp.Regexp)
	}
	e, _ := expressions.LoadOrStore(pattern, regexp.MustCompile(`^(?:`+pattern+`)$`))
	return e.(*regexp.Regexp)
}

const guid = `[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`

// The forms of settings and identities. The chart's policy has the same patterns.
var (
	logLevelForm   = form{want: "debug, info, warn or error", pattern: `debug|info|warn|error`}
	portForm       = form{want: "a port from 1024 to 65535", pattern: `[1-9][0-9]{3,4}`, least: 1024, most: 65535}
	quantityForm   = form{want: "a quantity such as 20m or 64Mi", pattern: `[0-9]{1,9}(\.[0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?`}
	sysctlForm     = form{pattern: `[0-9]{1,9}`}
	boolForm       = form{want: "true or false", pattern: `true|false`}
	tokenForm      = form{want: "NAME=AUDIENCE", pattern: `[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?=[!-~]{1,256}`}
	expirationForm = form{want: "seconds from 600 to 86400", pattern: `[1-9][0-9]{2,4}`, least: 600, most: 86400}
	audienceForm   = form{want: "an audience", pattern: `[!-~]{1,256}`}

	roleForm   = form{want: "a role ARN", pattern: `arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}`, most: 640}
	regionForm = form{want: "a region such as eu-west-1", pattern: `[a-z0-9]+(-[a-z0-9]+)*`, most: 40}

	providerForm = form{
		want: "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, or identitynamespace:POOL:URL",
		pattern: `//iam\.googleapis\.com/projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}` +
			`|//iam\.googleapis\.com/locations/[a-z0-9-]{1,30}/workforcePools/[a-z0-9-]{6,63}/providers/[a-z0-9-]{4,32}` +
			`|identitynamespace:[a-z0-9.-]{1,100}\.svc\.id\.goog:https://[A-Za-z0-9./:_~-]{1,300}`,
	}
	accountForm = form{
		want: "the e-mail of a service account",
		pattern: `[a-z0-9-]{6,30}@[a-z0-9.-]{1,100}\.iam\.gserviceaccount\.com` +
			`|[0-9]{1,20}-compute@developer\.gserviceaccount\.com|[a-z0-9.-]{1,100}@appspot\.gserviceaccount\.com|[0-9]{10,30}`,
	}
	projectForm = form{want: "a project", pattern: `[a-z0-9][a-z0-9.:-]{0,62}`}

	clientForm    = form{want: "a client id", pattern: guid}
	tenantForm    = form{want: "a tenant", pattern: guid + `|([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,10}[A-Za-z]{2,63}`, most: 253}
	authorityForm = form{want: "a URL such as https://login.microsoftonline.com", pattern: `https://[A-Za-z0-9.-]{1,200}/?`}
)
