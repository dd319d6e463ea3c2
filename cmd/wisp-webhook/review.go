package main

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// decodeReview reads an AdmissionReview with a request. What it does not know it ignores, since newer API servers
// say more; names are told apart by case, as the API server does. The request's object stays the bytes that it was.
//
// https://kubernetes.io/docs/reference/config-api/apiserver-admission.v1/
func decodeReview(body []byte) (*admissionv1.AdmissionRequest, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("the body is not an AdmissionReview: %w", err)
	}
	if want := admissionv1.SchemeGroupVersion.String(); review.APIVersion != want || review.Kind != "AdmissionReview" {
		return nil, fmt.Errorf("the body is %.100q of %.100q, want AdmissionReview of %s", review.Kind, review.APIVersion, want)
	}
	if review.Request == nil {
		return nil, errors.New("the AdmissionReview has no request")
	}
	if review.Request.UID == "" {
		return nil, errors.New("the AdmissionReview's request has no uid")
	}
	return review.Request, nil
}

// A podHead is what has to be known of a Pod before it is looked at closely.
type podHead struct {
	Metadata struct {
		Name         string            `json:"name"`
		GenerateName string            `json:"generateName"`
		Labels       map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		ServiceAccountName string `json:"serviceAccountName"`
		// What is wrong with these is said with its place later.
		InitContainers any `json:"initContainers"`
		Containers     any `json:"containers"`
	} `json:"spec"`
}

// empty reports whether there are no containers: the API server asks before it looks whether the Pod is one.
func (p *podHead) empty() bool {
	list, is := p.Spec.Containers.([]any)
	return p.Spec.Containers == nil || is && len(list) == 0
}

// bounded refuses what is more than any Pod has, and would cost more than a review may.
func (p *podHead) bounded() error {
	initial, _ := p.Spec.InitContainers.([]any)
	others, _ := p.Spec.Containers.([]any)
	if n := len(initial) + len(others); n > maxContainers {
		return denied("the Pod has %d containers, and %d are the most", n, maxContainers)
	}
	for _, c := range slices.Concat(initial, others) {
		members, _ := c.(map[string]any)
		name, _ := members["name"].(string)
		if n := utf8.RuneCountInString(name); n > maxName {
			return denied("the name of a container has %d characters, and %d are the most", n, maxName)
		}
	}
	return nil
}

func decodePodHead(pod []byte) (*podHead, error) {
	head := new(podHead)
	if err := json.Unmarshal(pod, head); err != nil {
		return nil, fmt.Errorf("the request's object is not a Pod: %w", err)
	}
	return head, nil
}

// The limits of warnings: beyond the second one the API server cuts every warning to the first, and beyond both it drops
// them without a word.
//
// https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/filters/warning.go
const (
	maxWarning  = 256  // characters of one
	maxWarnings = 4096 // characters of all
)

// fitWarnings makes warnings fit: each is cut, and what is too much is counted in the last one.
func fitWarnings(warnings []string) []string {
	const room = 100 // for the last one
	var fitting []string
	total := 0
	for n, warning := range warnings {
		warning = cut(warning, maxWarning)
		total += utf8.RuneCountInString(warning)
		if total > maxWarnings-room {
			return append(fitting, fmt.Sprintf("wisp has %d more warnings about this Pod", len(warnings)-n))
		}
		fitting = append(fitting, warning)
	}
	return fitting
}

// cut returns the first characters of s, most at most, of which the last one tells that there were more.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
