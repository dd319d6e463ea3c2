package refresher

import (
	"context"
	"time"
)

// An Exchanger trades a subject token for a credential. Exchange makes one attempt: it neither
// retries nor caches, both are the [Refresher]'s. It sets Credential.Expires as the cloud published
// it, in the cloud's time; for an answer that says "expires in n seconds" that is
// [Attempt.ServerNow] plus n. Credential.Issued is set by the engine.
//
// Errors are an [*Error] with the class that decides what happens next. What the engine also wants
// to know about an attempt, the status, Retry-After and Date, travels in the [Attempt] in ctx.
// Exchange must be safe for concurrent use.
type Exchanger interface {
	Exchange(ctx context.Context, subject Token, target Target) (Credential, error)
}

// A Value is what a credential consists of: an [AccessKey] or a [Bearer]. The set is closed,
// because the field knows only these two shapes.
type Value interface {
	usable() bool
}

// An AccessKey signs requests (AWS Signature Version 4).
type AccessKey struct {
	ID           string // AKIA… or ASIA…; not secret, but not logged either
	Secret       Secret
	SessionToken Secret
	AccountID    string // 12 digits; empty if unknown
}

// A Bearer is shown as it is.
type Bearer struct {
	Token Secret
	Type  string // what it is: one of the Type constants
}

func (k AccessKey) usable() bool { return k.ID != "" && k.Secret != "" && k.SessionToken != "" }
func (b Bearer) usable() bool    { return b.Token != "" }

// A Credential is what a cloud gave for a subject token. It is immutable; share it freely.
type Credential struct {
	Value   Value
	Issued  time.Time // when the exchange was sent, by the local clock
	Expires time.Time // see Exchanger; what a Refresher hands out is right for the local clock
}
