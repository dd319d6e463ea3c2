package subject_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/subject"
)

func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon := time.Now().Add(time.Minute)
		tests := []struct {
			name   string
			token  refresher.Token
			target refresher.Target
			code   string // of the error; empty for success
			class  refresher.Class
		}{
			{"a JWT", refresher.Token{Raw: "a.b.c", Type: refresher.TypeJWT, Expires: soon}, refresher.Target{}, "", 0},
			{"a SAML assertion", refresher.Token{Raw: "PHNhbWw+", Type: refresher.TypeSAML2, Expires: soon}, refresher.Target{}, "", 0},
			{"no expiry", refresher.Token{Raw: "a.b.c", Type: refresher.TypeJWT}, refresher.Target{}, refresher.CodeSubjectInvalid, refresher.SubjectToken},
			{"expired", refresher.Token{Raw: "a.b.c", Type: refresher.TypeJWT, Expires: time.Now()}, refresher.Target{}, refresher.CodeSubjectExpired, refresher.SubjectToken},
			{"another audience", refresher.Token{Raw: "a.b.c", Type: refresher.TypeJWT, Expires: soon}, refresher.Target{Audience: "x"}, refresher.CodeTargetNotAllowed, refresher.Denied},
		}
		for _, tt := range tests {
			got, err := subject.Exchanger{}.Exchange(t.Context(), tt.token, tt.target)
			if tt.code != "" {
				if e := refresher.AsError(err); e == nil || e.Code != tt.code || e.Class != tt.class {
					t.Errorf("%s: Exchange = %v, want %v %s", tt.name, err, tt.class, tt.code)
				}
				continue
			}
			want := refresher.Credential{Value: refresher.Bearer{Token: tt.token.Raw, Type: tt.token.Type}, Expires: soon}
			if err != nil || got != want {
				t.Errorf("%s: Exchange = %v, %v, want the token itself until %v", tt.name, got, err, soon)
			}
		}
	})
}
