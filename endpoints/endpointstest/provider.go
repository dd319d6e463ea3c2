package endpointstest

import (
	"context"
	"errors"
	"fmt"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A Provider is a function as [endpoints.Provider].
type Provider func(context.Context, refresher.Target) (refresher.Credential, error)

// Credential calls p.
func (p Provider) Credential(ctx context.Context, t refresher.Target) (refresher.Credential, error) {
	return p(ctx, t)
}

// Yield has c for any target.
func Yield(c refresher.Credential) Provider {
	return func(context.Context, refresher.Target) (refresher.Credential, error) { return c, nil }
}

// YieldDefault has c for the default target, and an error for any other: the outlet is not to ask for one.
func YieldDefault(c refresher.Credential) Provider {
	return func(_ context.Context, t refresher.Target) (refresher.Credential, error) {
		if t != (refresher.Target{}) {
			return refresher.Credential{}, fmt.Errorf("target %v, want the default", t)
		}
		return c, nil
	}
}

// theCloudsWords are in the errors of [Fail], and must never be in an answer.
const theCloudsWords = "what the cloud said, and perhaps a token"

// Fail is a provider whose last attempt failed; unless it is denied, a reader waits, so run it in a
// bubble of testing/synctest.
func Fail(class refresher.Class, code string) Provider {
	return func(ctx context.Context, _ refresher.Target) (refresher.Credential, error) {
		if class != refresher.Denied {
			<-ctx.Done()
		}
		return refresher.Credential{}, &refresher.Error{Class: class, Code: code, Err: errors.New(theCloudsWords)}
	}
}
