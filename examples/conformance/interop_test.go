package conformance_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A row is one external_account document, and how those end who make a token of it.
type row struct {
	name string       // of which the part before the colon groups rows
	set  func(*stage) // what is special about the document, and about what it names
	want ending       // how everybody ends
	// Those who end in another way, and why that is so.
	oauth2, auth, wisp ending
	differs            string
	// also, if not nil, looks at the token that a client has got.
	also func(*stage, grant)
	// environ: set changes the environment, so that nobody else may be at work.
	environ bool
	// patient: wisp may fail at first.
	patient bool
}

// An ending is what comes of a document: a token, a refusal of Google's, or nothing that is sent to
// Google at all. The zero ending is none.
type ending struct {
	kind  kind
	text  string          // whom the token is for, the status and code of the refusal, or the problem with the document
	says  string          // a part of the refusal's description: it tells which rule refuses
	class refresher.Class // of wisp's error, as is code
	code  string
}

type kind string

// The kinds of endings. A library that rejects a document does so before it sends anything, but maybe not
// before it is asked for a token.
const (
	succeeds kind = "token"
	refused  kind = "refused"
	unsent   kind = "nothing sent"
	rejected kind = "rejected"
)

// gets: a token for a member of IAM policies.
func gets(member string) ending { return ending{kind: succeeds, text: member} }

// refuses: Google's answer, such as "400 invalid_grant", and what it says besides.
func refuses(answer, says string, class refresher.Class) ending {
	_, code, _ := strings.Cut(answer, " ")
	return ending{kind: refused, text: answer, says: says, class: class, code: code}
}

// refusesToken: the subject token is not as it has to be.
func refusesToken(says string) ending {
	return refuses("400 invalid_grant", says, refresher.SubjectToken)
}

// refusesUse: the subject token may be good, but not for this.
func refusesUse(says string) ending { return refuses("400 invalid_grant", says, refresher.Denied) }

// lacks: there is no subject token that could be sent.
func lacks(class refresher.Class, code string) ending {
	return ending{kind: unsent, class: class, code: code}
}

// Two that are frequent.
var (
	noToken   = lacks(refresher.SubjectToken, refresher.CodeSubjectMissing)
	notAToken = lacks(refresher.SubjectToken, refresher.CodeSubjectInvalid)
)

// rejects: the document is wrong. The problem is a part of what wisp says about it.
func rejects(problem string) ending { return ending{kind: rejected, text: problem} }

// Reasons for more than one difference.
const (
	becauseForeseen   = "wisp knows before it asks that Google will refuse"
	becauseNoToken    = "wisp sees that it is no token"
	becauseAmbiguous  = "wisp refuses what is ambiguous, as Google's libraries for Python, Java and Node do; those for Go take the kind that they look for first"
	becauseLimits     = "wisp has limits, 600 to 43200, as Google's library for Java has; others leave them to Google"
	becauseUnsafe     = "wisp sends no token unencrypted beyond this machine, nor to hosts that are not Google's; libraries check no URL"
	becauseRedirect   = "wisp follows no redirect: it would carry secrets elsewhere"
	becauseTorn       = "wisp runs the program, as Google's library for Python does; those for Go, Java and Node fail until somebody removes the file"
	becauseDoubt      = "until a cloud has told wisp the time, its own clock may be what is wrong: it shows such a token once"
	becausePermission = "wisp wants the permission when it starts; libraries for Go want it when they run something"
	becauseBilled     = "wisp bills the impersonation to the quota project, as Google's library for Python does; those for Go leave that to what uses the token"
	becauseTime       = "wisp learns the time from Google's answer, and signs once more"
)

// ending is how a client has to end.
func (r row) ending(c client) ending {
	other := map[string]ending{"x/oauth2": r.oauth2, "go/auth": r.auth, "wisp": r.wisp}[c.name]
	if other.kind != "" {
		return other
	}
	return r.want
}

// An external_account document means the same to wisp and to Google's own libraries, of whose code none is
// ours; and where it does not, the table says why.
func TestInterop(t *testing.T) {
	t.Setenv(allowExecutables, "1")
	for _, name := range awsVariables {
		t.Setenv(name, "")
	}
	world := newClouds(0)
	rows := slices.Concat(
		documentRows, fileRows, urlRows, executableRows, awsRows, jwtRows(), samlRows(), impersonationRows, workforceRows)
	var found summary
	t.Run("rows", func(t *testing.T) { // which ends when the parallel ones have ended
		for _, r := range rows {
			t.Run(r.name, func(t *testing.T) {
				if !r.environ {
					t.Parallel()
				}
				if r.differs == "" && r.oauth2.kind+r.auth.kind+r.wisp.kind != "" {
					t.Error("the row does not say why there is a difference")
				}
				for _, c := range clients {
					t.Run(c.name, func(t *testing.T) { found.add(r, c, r.play(newStage(t, world, c.name), c)) })
				}
			})
		}
	})
	t.Log(found.table(rows))
}

// play has a client make a token, and returns how that ended.
func (r row) play(s *stage, c client) string {
	if r.set != nil {
		r.set(s)
	}
	s.patient = r.patient
	want := r.ending(c)
	got, err := c.token(s)
	if err == nil {
		whom, _ := s.google.Principal(got.token)
		if want.kind != succeeds || whom != want.text {
			s.Errorf("a token for %q, want: %s %s", whom, want.kind, want.text)
		} else if r.also != nil {
			r.also(s, got)
		}
		return "token of " + short(whom)
	}
	answer, says := s.door.refusal()
	switch {
	case want.kind == succeeds:
		s.Errorf("%s, and Google said %q %q, want a token for %s", c.explain(err), answer, says, want.text)
	case want.kind != refused && len(s.door.asked()) > 0:
		s.Errorf("%s, and Google was asked and said %q %q, want: %s %s", c.explain(err), answer, says, want.kind, want.text)
	case want.kind == refused && (answer != want.text || !strings.Contains(says, want.says)):
		s.Errorf("%s, and Google said %q %q, want %s: …%s…", c.explain(err), answer, says, want.text, want.says)
	default:
		c.check(s, err, want)
	}
	if answer != "" {
		return answer
	}
	return string(want.kind)
}

// short is what differs in the names of members.
func short(member string) string {
	account, domain, _ := strings.Cut(member[strings.LastIndexAny(member, "/:")+1:], "@")
	if domain != "" {
		account += "@"
	}
	return account
}

// A summary is how everybody ended, for people to read.
type summary struct {
	mu   sync.Mutex
	ends map[string]string // guarded by mu; by row and client
}

func (f *summary) add(r row, c client, ended string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ends == nil {
		f.ends = make(map[string]string)
	}
	f.ends[r.name+c.name] = ended
}

func (f *summary) table(rows []row) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nexternal_account document")
	for _, c := range clients {
		fmt.Fprint(w, "\t", c.name)
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		fmt.Fprint(w, r.name)
		for _, c := range clients {
			fmt.Fprint(w, "\t", f.ends[r.name+c.name])
		}
		if r.differs != "" {
			fmt.Fprint(w, "\tdiffers: ", r.differs)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	return text.String()
}
