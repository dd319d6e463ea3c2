// Package inject decides what wisp adds to a Pod. It is a pure function of the Pod's JSON, of the annotations
// of its ServiceAccount and of a [Policy], which is the cluster's; it asks nobody and changes nothing. What
// comes out is a JSON Patch that only adds (but for the values of NO_PROXY and no_proxy, which it extends), or a
// [Refusal] that lists all reasons.
//
// The admission webhook and wisp inject are made of it. The chart's admission policy says the same in CEL: what
// is changed here has to be changed there, down to the sentences.
package inject

import (
	"fmt"
	"strings"
)

// Prefix begins the names of all labels and annotations that are wisp's own.
const Prefix = "wisp-sidecar.github.io/"

// Label is the Pod's label that asks for injection, with the value "true".
const Label = Prefix + "inject"

// An Account is a ServiceAccount, as far as it says who a Pod is.
type Account struct {
	Name        string // empty: what the Pod names, else default
	Annotations map[string]string
}

// A Request is one Pod to look at.
type Request struct {
	Pod             []byte // JSON of a Pod, or of a Pod template; only read
	Account         Account
	NamespaceLabels map[string]string // nil: nothing is known of the Pod's namespace
}

// An Operation is one of a JSON Patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"` // add or replace
	Path  string `json:"path"`
	Value any    `json:"value"` // for encoding/json
}

// A Result is what is to be done with a Pod.
type Result struct {
	Patch    []Operation // empty: nothing is to be done
	Warnings []string    // sentences without a full stop, for whoever makes the Pod
}

// A Refusal is why a Pod cannot be injected.
type Refusal struct {
	Problems []string // all of them, in a fixed order
}

// Error is the sentence that clients of the API server see.
func (r *Refusal) Error() string {
	return "wisp cannot be injected: " + strings.Join(r.Problems, "; ")
}

// Inject says what is to be added to a Pod. A Pod that does not ask for it, or has it all, gets an empty Patch.
// The error is a [*Refusal], or says where the Pod is not JSON of a Pod. Inject can be called from many
// goroutines at once.
func (p *Policy) Inject(r Request) (*Result, error) {
	pod, err := readPod(r.Pod)
	if err != nil {
		return nil, fmt.Errorf("the Pod cannot be read: %w", err)
	}
	if pod.labels[Label] != "true" {
		return &Result{}, nil
	}
	i := newInjection(p, pod, r)
	if problems := i.problems(); len(problems) > 0 {
		return nil, &Refusal{Problems: problems}
	}
	return &Result{Patch: i.patch(), Warnings: i.warnings()}, nil
}
