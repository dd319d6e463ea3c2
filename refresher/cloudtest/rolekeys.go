package cloudtest

import (
	"sync"
	"time"
)

// roleKeys keep the access key of a role that a machine or a container is lent.
type roleKeys struct {
	aws     *AWS
	role    string // its ARN
	session string
	now     func() time.Time

	mu      sync.Mutex
	current roleKey // guarded by mu
}

// A roleKey is an access key, complete.
type roleKey struct {
	id, secret, token string
	issued, expires   time.Time
}

const (
	roleKeyLife = 6 * time.Hour
	// New keys are there at least five minutes before the old ones end; AWS promises no more.
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
	roleKeyMargin = 5 * time.Minute
)

// get returns the current key. A new one lives for the given time.
func (k *roleKeys) get(lifetime time.Duration) (roleKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.current.id != "" && k.current.expires.Sub(now) > roleKeyMargin {
		return k.current, nil
	}
	id, secret, token, expires, err := k.aws.IssueSession(k.role, k.session, lifetime)
	if err != nil {
		return roleKey{}, err
	}
	k.current = roleKey{id: id, secret: secret, token: token, issued: now, expires: expires}
	return k.current, nil
}

// awsTime is how the credential endpoints write a time.
func awsTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
