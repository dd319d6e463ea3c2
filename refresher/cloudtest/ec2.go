package cloudtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// EC2Options configure an [EC2].
type EC2Options struct {
	// AWS is where the keys are of, and RoleARN whose they are. Without a RoleARN the instance has no
	// role.
	AWS     *AWS
	RoleARN string
	// AvailabilityZone is a region and a letter; empty is eu-west-1a.
	AvailabilityZone string
	InstanceID       string           // also the name of the role's session; empty is i-0123456789abcdef0
	Lifetime         time.Duration    // of keys; 0 is 6 h
	Now              func() time.Time // nil is time.Now
	Rand             io.Reader        // for metadata tokens; nil is crypto/rand
}

// EC2 is the instance metadata service, version 2 alone, at http://169.254.169.254. Operations for
// [Faults]:
//
//	token        PUT /latest/api/token
//	role         GET /latest/meta-data/iam/security-credentials/
//	credentials  GET /latest/meta-data/iam/security-credentials/ROLE
//	metadata     all else
//
// A request for metadata needs a token of this service, as long as that lives. A trailing slash makes no
// difference. It is safe for concurrent use.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
type EC2 struct {
	Faults
	o        EC2Options
	role     string // the name of the role; empty: none
	keys     *roleKeys
	document string // instance-identity/document
	now      func() time.Time
	chance   *chance

	mu     sync.Mutex
	tokens map[string]time.Time // guarded by mu; when each ends
}

const (
	ec2TTLHeader    = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	ec2TokenHeader  = "X-Aws-Ec2-Metadata-Token"
	ec2MaxTTL       = 21600
	ec2Credentials  = "/latest/meta-data/iam/security-credentials"
	ec2DocumentPath = "/latest/dynamic/instance-identity/document"
)

// NewEC2 returns the service of an instance. It panics if RoleARN is not that of a role, or comes
// without AWS.
func NewEC2(o EC2Options) *EC2 {
	role, ok := parseRoleARN(o.RoleARN)
	if o.RoleARN != "" && (!ok || o.AWS == nil) {
		panic("cloudtest: EC2Options need a role's ARN, and AWS with it, not " + o.RoleARN)
	}
	o.AvailabilityZone = cmp.Or(o.AvailabilityZone, "eu-west-1a")
	o.InstanceID = cmp.Or(o.InstanceID, "i-0123456789abcdef0")
	o.Lifetime = cmp.Or(o.Lifetime, roleKeyLife)
	now := clock(o.Now)
	e := &EC2{
		o:      o,
		role:   role.name,
		keys:   &roleKeys{aws: o.AWS, role: o.RoleARN, session: o.InstanceID, now: now},
		now:    now,
		chance: newChance(o.Rand),
		tokens: make(map[string]time.Time),
	}
	identity := map[string]string{
		"availabilityZone": o.AvailabilityZone,
		"instanceId":       o.InstanceID,
		"region":           e.region(),
		"version":          "2017-09-30",
	}
	if role.account != "" {
		identity["accountId"] = role.account
	}
	e.document = spaced(identity)
	return e
}

// region is the zone without its letter.
func (e *EC2) region() string { return e.o.AvailabilityZone[:len(e.o.AvailabilityZone)-1] }

// ServeHTTP answers for tokens and metadata.
func (e *EC2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	path := strings.TrimSuffix(r.URL.Path, "/")
	role, named := strings.CutPrefix(path, ec2Credentials+"/")
	operation := "metadata"
	switch {
	case path == "/latest/api/token":
		operation = "token"
	case path == ec2Credentials:
		operation = "role"
	case named:
		operation = "credentials"
	}
	if e.answers(w, r, operation, e.now, ec2Wording) {
		return
	}
	switch {
	case operation == "token":
		e.token(w, r)
	case !e.admits(r.Header.Get(ec2TokenHeader)):
		writeEC2Error(w, http.StatusUnauthorized)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		writeEC2Error(w, http.StatusMethodNotAllowed)
	case operation == "credentials":
		e.credentials(w, role)
	default:
		e.metadata(w, path)
	}
}

// token gives out a metadata token. A forwarded request gets none: it is not the instance's own.
func (e *EC2) token(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		w.Header().Set("Allow", http.MethodPut)
		writeEC2Error(w, http.StatusMethodNotAllowed)
		return
	}
	if _, forwarded := r.Header["X-Forwarded-For"]; forwarded {
		writeEC2Error(w, http.StatusForbidden)
		return
	}
	wanted := r.Header.Values(ec2TTLHeader)
	if len(wanted) != 1 {
		writeEC2Error(w, http.StatusBadRequest)
		return
	}
	seconds, err := strconv.ParseUint(wanted[0], 10, 31)
	if err != nil || seconds < 1 || seconds > ec2MaxTTL {
		writeEC2Error(w, http.StatusBadRequest)
		return
	}
	token := "AQAEA" + e.chance.text(base64Alphabet, 49) + "=="
	now := e.now()
	e.mu.Lock()
	for old, end := range e.tokens {
		if !now.Before(end) {
			delete(e.tokens, old)
		}
	}
	e.tokens[token] = now.Add(time.Duration(seconds) * time.Second)
	e.mu.Unlock()
	w.Header().Set(ec2TTLHeader, wanted[0])
	writeEC2Text(w, token)
}

// admits reports whether a metadata token was given out here and still lives.
func (e *EC2) admits(token string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, ok := e.tokens[token]
	return ok && e.now().Before(end)
}

// credentials answers with the role's keys.
func (e *EC2) credentials(w http.ResponseWriter, role string) {
	if e.role == "" || role != e.role {
		writeEC2Error(w, http.StatusNotFound)
		return
	}
	key, err := e.keys.get(e.limit(e.o.Lifetime))
	if err != nil {
		// This answer has the status of a good one.
		writeEC2Text(w, spaced(struct{ Code, Message, LastUpdated string }{
			Code:        "AssumeRoleUnauthorizedAccess",
			Message:     "EC2 cannot assume the role " + e.role + ". Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html.",
			LastUpdated: awsTime(e.now()),
		}))
		return
	}
	writeEC2Text(w, spaced(struct {
		Code            string
		LastUpdated     string
		Type            string
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      string
	}{
		Code: "Success", LastUpdated: awsTime(key.issued), Type: "AWS-HMAC",
		AccessKeyID: key.id, SecretAccessKey: key.secret, Token: key.token, Expiration: awsTime(key.expires),
	}))
}

// metadata answers with a value; it has no newline.
func (e *EC2) metadata(w http.ResponseWriter, path string) {
	value := ""
	switch path {
	case ec2Credentials:
		value = e.role
	case "/latest/meta-data/placement/region":
		value = e.region()
	case "/latest/meta-data/placement/availability-zone":
		value = e.o.AvailabilityZone
	case "/latest/meta-data/instance-id":
		value = e.o.InstanceID
	case ec2DocumentPath:
		value = e.document
	}
	if value == "" {
		writeEC2Error(w, http.StatusNotFound)
		return
	}
	writeEC2Text(w, value)
}

// spaced is JSON as the service writes it, on several lines.
func spaced(document any) string {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("cloudtest: %v", err))
	}
	return string(text)
}

// writeEC2Text writes a value. JSON is text/plain too.
func writeEC2Text(w http.ResponseWriter, value string) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, value)
}

func writeEC2Error(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	title := fmt.Sprintf("%d - %s", status, http.StatusText(status))
	_, _ = io.WriteString(w, "<html><head><title>"+title+"</title></head><body><h1>"+title+"</h1></body></html>\n")
}

// ec2Wording is how the service says that it is asked too often: as one that is not there.
var ec2Wording = wording{
	throttled:   func(w http.ResponseWriter) { writeEC2Error(w, http.StatusServiceUnavailable) },
	contentType: "text/plain",
	malformed:   "{\n  \"Code\" : \"Success\",\n  \"AccessKeyId\" : \"ASIA",
}
