package source_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// otherIdentity is one whose credential is at hand, or not.
type otherIdentity struct {
	credential refresher.Credential
	err        error
}

func (o otherIdentity) Credential(context.Context, refresher.Target) (refresher.Credential, error) {
	return o.credential, o.err
}

func TestRefusalsOfAWSKeys(t *testing.T) {
	dir := t.TempDir()
	twoLines := filepath.Join(dir, "two-lines")
	write(t, twoLines, secret+"\n"+secret)
	container := env{"AWS_CONTAINER_CREDENTIALS_FULL_URI": fullURI, "AWS_REGION": "eu-west-1"}
	holder := merge(container, env{"AWS_CONTAINER_AUTHORIZATION_TOKEN": secret})
	instance := func(name, answer string) func() refresher.Source {
		return func() refresher.Source {
			return signing(t, metadataService(t, map[string]string{name: answer}), source.AWSAmbientOptions{}, nil)
		}
	}
	asked := func(e env, w *wire) func() refresher.Source {
		return func() refresher.Source { return signing(t, w, source.AWSAmbientOptions{}, e) }
	}
	says := func(document string) func() refresher.Source { return asked(container, answers(200, document)) }
	other := func(o otherIdentity, region string) func() refresher.Source {
		return func() refresher.Source {
			return callerIdentity(t, source.AWSCallerIdentityOptions{Keys: source.AWSKeysOf("hub", o, region)})
		}
	}
	const (
		session     = "PUT /latest/api/token"
		roles       = "GET /latest/meta-data/iam/security-credentials"
		credentials = roles + "/reports"
		region      = "GET /latest/meta-data/placement/region"
	)
	var b strings.Builder
	for _, c := range []struct {
		name string
		make func() refresher.Source
	}{
		{"container: no token is sent, and one is wanted", asked(container, answers(401, `{"code":"MissingAuthorization","message":"no header"}`))},
		{"container: the token is unknown", asked(holder, answers(401, ""))},
		{"container: the token is quoted", asked(holder, answers(403, `{"code":"AccessDenied","message":"`+secret+` is not this container's"}`))},
		{"container: plain text of EKS", asked(holder, answers(400, "Service account token cannot be empty\n"))},
		{"container: nothing at this path", asked(holder, answers(404, page))},
		{"container: asked too often", asked(holder, answers(429, "", "Retry-After", "3"))},
		{"container: out of order", asked(holder, answers(500, page))},
		{"container: a redirect", asked(holder, answers(307, "", "Location", "http://evil.example/"))},
		{"container: a page", says(page)},
		{"container: null", says("null")},
		{"container: a number for a string", says(`{"AccessKeyId":1}`)},
		{"container: no secret", says(`{"AccessKeyId":"ASIA","Token":"x"}`)},
		{"container: no session token", says(keyDocument(refresher.AccessKey{ID: sessionKey.ID, Secret: secret}, ""))},
		{"container: a key of two lines", says(keyDocument(refresher.AccessKey{ID: "AKIA", Secret: secret + "\n" + secret}, ""))},
		{"container: an expiration that is no time", says(keyDocument(sessionKey, "tomorrow"))},
		{"container: two documents", says(keyDocument(sessionKey, "") + "{}")},
		{"container: no token file", asked(merge(holder, env{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": filepath.Join(dir, "missing")}), answers(200, ""))},
		{"container: a token of two lines", asked(merge(holder, env{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": twoLines}), answers(200, ""))},
		{"container: no region", asked(env{"AWS_CONTAINER_CREDENTIALS_FULL_URI": fullURI}, answers(200, ""))},
		{"environment: no such region", asked(merge(container, env{"AWS_REGION": "Ireland"}), answers(200, ""))},
		{"environment: a region of China", asked(merge(container, env{"AWS_REGION": "cn-north-1"}), answers(200, ""))},
		{"instance: metadata is off", instance(session, "403 "+page)},
		{"instance: only version 1", instance(session, "404 "+page)},
		{"instance: a redirect", instance(session, "307 ")},
		{"instance: a page for a session token", instance(session, "200 "+page)},
		{"instance: the session token is unknown", instance(roles, "401 "+page)},
		{"instance: no role", instance(roles, "404 "+page)},
		{"instance: an empty list of roles", instance(roles, "200 ")},
		{"instance: out of order", instance(roles, "503 "+page)},
		{"instance: the role is gone", instance(credentials, "404 "+page)},
		{"instance: the role does not trust EC2", instance(credentials, `200 {"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role reports."}`)},
		{"instance: a page for credentials", instance(credentials, "200 "+page)},
		{"instance: the region is unknown", instance(region, "404 "+page)},
		{"instance: the region is a page", instance(region, "200 "+page)},
		{"document: the instance wants a session token", func() refresher.Source {
			return signing(t, metadataService(t, map[string]string{roles: "401 " + page}), source.AWSAmbientOptions{CredentialsURL: rolesURL, RegionURL: zoneURL}, nil)
		}},
		{"document: no region", func() refresher.Source {
			return signing(t, metadataService(t, nil), source.AWSAmbientOptions{CredentialsURL: rolesURL}, nil)
		}},
		{"identity: it has no credential", other(otherIdentity{err: &refresher.Error{
			Class: refresher.Settling, Code: "AccessDenied", Err: errors.New("not authorized"), Hint: "check the trust policy",
		}}, "eu-west-1")},
		{"identity: it is none of AWS", other(otherIdentity{credential: refresher.Credential{Value: refresher.Bearer{Token: secret, Type: refresher.TypeAccessToken}}}, "eu-west-1")},
		{"identity: it has no region", other(otherIdentity{credential: refresher.Credential{Value: sessionKey}}, "")},
	} {
		tell(t, &b, c.name, c.make())
	}
	synctest.Test(t, func(t *testing.T) {
		tell(t, &b, "instance: the answer gets lost", instance(session, "silence")())
		tell(t, &b, "container: no answer", asked(holder, &wire{answer: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}})())
	})
	for _, hidden := range []string{userKey.Secret.Reveal(), sessionKey.SessionToken.Reveal()} {
		if strings.Contains(b.String(), hidden) {
			t.Error("an error shows a part of a key")
		}
	}
	golden(t, "aws_key_refusals", strings.ReplaceAll(b.String(), dir, "/run/aws"))
}

// The engine judges by the token's end, unless this very exchange has heard what time it is.
func TestExpiredAWSKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expires := time.Now().Add(-time.Hour)
		s := callerIdentity(t, source.AWSCallerIdentityOptions{Region: "eu-west-1", Keys: fixedKeys{key: sessionKey, expires: expires}})
		attempt := new(refresher.Attempt)
		ctx := refresher.WithAttempt(t.Context(), attempt)
		token, err := s.Token(ctx)
		if err != nil || !token.Expires.Equal(expires) {
			t.Errorf("before Google has answered: Token = %v, %v, want one that has ended at %v", token, err, expires)
		}
		attempt.Record(func(d *refresher.AttemptData) { d.Date, d.DateAt = time.Now(), time.Now() })
		const want = "subject_expired: the AWS access key expired at 1999-12-31T23:00:00Z"
		if _, err = s.Token(ctx); err == nil || err.Error() != want || refresher.AsError(err).Class != refresher.SubjectToken {
			t.Errorf("after it has: error %v, want %s", err, want)
		}
		if _, err = s.Token(t.Context()); err == nil || err.Error() != want {
			t.Errorf("without an engine: error %v, want %s", err, want)
		}
		attempt.Record(func(d *refresher.AttemptData) { d.Date = expires.Add(-time.Minute) })
		token, err = s.Token(ctx)
		if want := expires.Add(-2 * time.Minute); err != nil || !token.Issued.Equal(want) {
			t.Errorf("with a clock that is fast: Token = %v, %v, want one of %v", token, err, want)
		}
	})
}
