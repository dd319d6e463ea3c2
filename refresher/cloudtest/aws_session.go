package cloudtest

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"time"
)

// A Session is what an issued access key stands for.
type Session struct {
	ARN     string // arn:aws:sts::123456789012:assumed-role/name/session
	Account string
	RoleARN string
	Expires time.Time
	// What was attached when the session began, or carried over from the one it began in.
	Policy            string
	PolicyARNs        []string
	Tags              map[string]string
	TransitiveTagKeys []string // those of Tags that a chain carries on
	SourceIdentity    string
}

// A session is a Session with what belongs to its key.
type session struct {
	Session
	secret string
	token  string
	userID string
}

// Session returns what an access key id was issued for, and whether it was. Keys that expired more
// than a day ago are forgotten.
func (a *AWS) Session(accessKeyID string) (Session, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[accessKeyID]
	return s.Session, ok
}

// Principal returns the ARN that an issued access key stands for, and whether the three parts belong
// together and have not expired.
func (a *AWS) Principal(accessKeyID, secretAccessKey, sessionToken string) (arn string, valid bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[accessKeyID]
	valid = ok && s.secret == secretAccessKey && s.token == sessionToken && a.now().Before(s.Expires)
	if !valid {
		return "", false
	}
	return s.ARN, true
}

// IssueSession returns an access key of a role's session that began without a call, as those do that
// EC2 and ECS hand to what runs there. The role must be known; its trust policy is not asked, and
// its longest session is no limit. Faults that shorten lifetimes apply.
func (a *AWS) IssueSession(roleARN, sessionName string, lifetime time.Duration) (id, secret, token string, expires time.Time, err error) {
	if _, known := a.role(roleARN); !known {
		return "", "", "", time.Time{}, fmt.Errorf("no role %s", roleARN)
	}
	if failure := validationErrors(checkText("roleSessionName", sessionName, 2, 64, sessionNameForm)); failure != nil {
		return "", "", "", time.Time{}, fmt.Errorf("session name: %s", failure.message)
	}
	id, s := a.issue(assume{arn: roleARN, sessionName: sessionName, duration: lifetime})
	return id, s.secret, s.token, s.Expires, nil
}

// issue makes a new session, of a role that exists, and the id of its access key.
func (a *AWS) issue(wanted assume) (key string, s session) {
	role, _ := parseRoleARN(wanted.arn)
	id := sha256.Sum256([]byte(wanted.arn))
	key = "ASIA" + a.chance.text(base32Alphabet, 16)
	now := a.now()
	s = session{
		Session: Session{
			ARN:               fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", role.partition, role.account, role.name, wanted.sessionName),
			Account:           role.account,
			RoleARN:           wanted.arn,
			Expires:           now.Add(a.limit(wanted.duration)).Truncate(time.Second),
			Policy:            wanted.policy,
			PolicyARNs:        wanted.policyARNs,
			Tags:              make(map[string]string),
			TransitiveTagKeys: wanted.transitive,
			SourceIdentity:    wanted.sourceIdentity,
		},
		secret: a.chance.base64(30), // 40 characters
		token:  "IQoJb3JpZ2luX2Vj" + a.chance.base64(600),
		userID: "AROA" + base32.StdEncoding.EncodeToString(id[:])[:17] + ":" + wanted.sessionName,
	}
	for _, tag := range wanted.tags {
		s.Tags[tag.key] = tag.value
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Long-expired keys are no longer told from unknown ones.
	maps.DeleteFunc(a.sessions, func(_ string, s session) bool { return now.Sub(s.Expires) > 24*time.Hour })
	a.sessions[key] = s
	return key, s
}

func (s session) credentials(key string) credentials {
	return credentials{
		AccessKeyID:     key,
		SecretAccessKey: s.secret,
		SessionToken:    s.token,
		Expiration:      s.Expires.UTC().Format(time.RFC3339),
	}
}

func (s session) user() assumedRoleUser {
	return assumedRoleUser{AssumedRoleID: s.userID, ARN: s.ARN}
}
