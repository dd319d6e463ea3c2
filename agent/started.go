package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// Started waits until every required identity has a credential and every file is written. It returns why
// not when ctx ends, or as soon as a cloud refuses an identity for good. Run has to be running.
func (a *Agent) Started(ctx context.Context) error {
	for _, i := range a.identities {
		if !i.required {
			continue
		}
		if _, err := i.identity.Credential(ctx, refresher.Target{}); err != nil {
			return Explain(i.identity.Name(), err)
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := a.unstarted()
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New(strings.Join(missing, "\n"))
		}
	}
}

// Explain adds to the failure of an exchange whose it is, and on a second line what the reader can do about
// it. Other errors stay as they are.
func Explain(identity string, err error) error {
	e, ok := errors.AsType[*refresher.Error](err)
	if !ok {
		return err
	}
	if e.Hint != "" {
		return fmt.Errorf("identity %q: %w\n  hint: %s", identity, err, e.Hint)
	}
	return fmt.Errorf("identity %q: %w", identity, err)
}
