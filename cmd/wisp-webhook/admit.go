package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

// What became of a review: a label of metrics.
const (
	injected  = "injected"
	unchanged = "unchanged"
	refused   = "refused"
	failed    = "error" // there is no answer, and the API server goes by its failurePolicy
)

// An owner is what has to be known besides the Pod.
type owner struct {
	account         inject.Account
	namespaceLabels map[string]string
}

// An admitter decides on reviews. It is safe for concurrent use if look is.
type admitter struct {
	policy *inject.Policy
	// look finds an account of a namespace: in the cache if it is there, or else, and always if live, by asking the API
	// server. An account or a namespace that does not exist is a *inject.Refusal.
	look func(ctx context.Context, namespace, account string, live bool) (owner, error)
	log  *slog.Logger
}

// A malformedError is a review that cannot be answered, by the sender's fault.
type malformedError struct{ error }

func (e *malformedError) Unwrap() error { return e.error }

// admit answers one request and says what became of it: [injected], [unchanged] or [refused]. An error means that
// there is no answer.
func (a *admitter) admit(ctx context.Context, request *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, string, error) {
	response := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
	pods := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	if request.Operation != admissionv1.Create || request.Resource != pods || request.SubResource != "" {
		return response, unchanged, nil
	}
	pod, err := decodePodHead(request.Object.Raw)
	if err != nil {
		return nil, failed, &malformedError{err}
	}
	if pod.Metadata.Labels[inject.Label] != "true" {
		return response, unchanged, nil
	}
	if pod.empty() {
		return response, unchanged, nil // the API server refuses it, in its own words
	}
	result, err := a.inject(ctx, request, pod)
	var patch []byte
	if err == nil {
		patch, err = encodePatch(result.Patch)
	}
	if refusal, ok := errors.AsType[*inject.Refusal](err); ok {
		log := a.log.With("namespace", request.Namespace, "name", pod.Metadata.Name, "generateName", pod.Metadata.GenerateName)
		log.Info("Pod refused", "problems", len(refusal.Problems))
		log.Debug("why", "err", cut(refusal.Error(), maxSentence)) // it quotes annotations
		response.Allowed = false
		// kubectl prints: admission webhook "NAME" denied the request: MESSAGE.
		response.Result = &metav1.Status{
			Status: metav1.StatusFailure, Message: cut(refusal.Error(), maxSentence),
			Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden,
		}
		return response, refused, nil
	}
	if err != nil {
		return nil, failed, err
	}
	response.Warnings = fitWarnings(result.Warnings)
	if len(result.Patch) == 0 {
		return response, unchanged, nil
	}
	response.Patch = patch
	response.PatchType = new(admissionv1.PatchTypeJSONPatch)
	return response, injected, nil
}

// encodePatch writes a patch as JSON. One that is too large is the fault of who made the Pod: a value of its own that is
// extended can be six times as long in JSON.
func encodePatch(patch []inject.Operation) ([]byte, error) {
	text := []byte{'['}
	for n, operation := range patch {
		one, err := json.Marshal(operation)
		if err != nil {
			return nil, fmt.Errorf("encode the patch: %w", err)
		}
		if n > 0 {
			text = append(text, ',')
		}
		text = append(text, one...)
		if len(text) >= maxPatch {
			return nil, denied("what the Pod lacks has more than %d bytes", maxPatch)
		}
	}
	return append(text, ']'), nil
}

// inject decides with what the cache knows. Before it refuses a Pod it asks the API server: what the Pod lacks may have been put
// right a moment ago, in one kubectl apply with the Pod.
func (a *admitter) inject(ctx context.Context, request *admissionv1.AdmissionRequest, pod *podHead) (*inject.Result, error) {
	if err := pod.bounded(); err != nil {
		return nil, err
	}
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default" // the ServiceAccount plugin, which sets it, is off
	}
	var last error
	for _, live := range []bool{false, true} {
		who, err := a.look(ctx, request.Namespace, account, live)
		if err != nil {
			return nil, err
		}
		result, err := a.policy.Inject(inject.Request{Pod: request.Object.Raw, Account: who.account, NamespaceLabels: who.namespaceLabels})
		if err == nil {
			return result, nil
		}
		if !errors.As(err, new(*inject.Refusal)) {
			return nil, &malformedError{err}
		}
		last = err
	}
	return nil, last
}
