package imds

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
)

type handler func(http.ResponseWriter, *http.Request) *endpoints.Refusal

// A tree is what there is to read, by its path without a slash in front or at the end.
type tree map[string]handler

// text adds a value, unless it is empty.
func (t tree) text(path, value string) {
	if value != "" {
		t[path] = fixed(endpoints.Text, []byte(value))
	}
}

// document adds a JSON object.
func (t tree) document(path string, v any) { t[path] = fixed(endpoints.JSON, encode(v)) }

func fixed(mediaType string, body []byte) handler {
	return func(w http.ResponseWriter, _ *http.Request) *endpoints.Refusal {
		endpoints.Reply(w, http.StatusOK, mediaType, body)
		return nil
	}
}

// routes are all paths of the tree and the directories above them, below root. With a slash at the end
// or without, the answer is the same: botocore asks for the availability zone with one, and the SDK for
// C++ for the list of roles without.
func (t tree) routes(root string) endpoints.Routes {
	routes := endpoints.Routes{}
	add := func(path string, h handler) {
		path = strings.TrimSuffix(root+path, "/")
		route := endpoints.Route{Methods: endpoints.Read, Handler: h}
		routes[path], routes[path+"/"] = route, route
	}
	listings := map[string]map[string]bool{} // the names in each directory
	for path, h := range t {
		add(path, h)
		for path != "" {
			slash := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')
			directory, name := path[:slash+1], path[slash+1:]
			if listings[directory] == nil {
				listings[directory] = map[string]bool{}
			}
			listings[directory][name] = true
			path = directory
		}
	}
	for directory, names := range listings {
		add(directory, fixed(endpoints.Text, listing(names)))
	}
	return routes
}

// listing has the names in order and no line break at the end: botocore takes the whole list of roles
// for the name of one, and so do the SDKs for PHP and Rust.
func listing(names map[string]bool) []byte {
	return []byte(strings.Join(slices.Sorted(maps.Keys(names)), "\n"))
}

// A profile is the document iam/info.
type profile struct {
	Code               string `json:"Code"`
	LastUpdated        string `json:"LastUpdated"`
	InstanceProfileARN string `json:"InstanceProfileArn"`
	InstanceProfileID  string `json:"InstanceProfileId"`
}

// newProfile makes the id, which is opaque, of the ARN: always the same one of the form that IAM uses.
func newProfile(arn string, now time.Time) profile {
	sum := sha256.Sum256([]byte(arn))
	id := sum[:17]
	for i, b := range id {
		id[i] = 'A' + b%26
	}
	return profile{success, stamp(now), arn, "AIPA" + string(id)}
}

// An instance is the document instance-identity/document, which older SDKs take the region from. It has
// no signature.
type instance struct {
	AccountID        string `json:"accountId,omitempty"`
	AvailabilityZone string `json:"availabilityZone,omitempty"`
	InstanceID       string `json:"instanceId,omitempty"`
	Region           string `json:"region"`
}
