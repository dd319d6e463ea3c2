package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

// worthwhile is the life that a token from the output file must have left: the engine does not send one
// that is about to expire, and the executable can make a new one.
const worthwhile = 10 * time.Second

// An Executable is the token that a program prints, in the protocol of package execsource. It
// implements [refresher.Source] and is safe for concurrent use: it runs the program once at a time.
//
// The program is run as it is, without a shell, with few environment variables, nothing to read and a
// process group of its own. When it has ended, or has taken too long, or has printed more than 64 KiB,
// whatever is left of that group is killed. What it writes to its standard error is not looked at: it
// may hold secrets.
type Executable struct {
	options ExecutableOptions // with all defaults filled in
	grace   time.Duration     // between asking to end and being killed
	turn    chan struct{}     // holds a value while somebody looks at the output file or runs the program
}

// NewExecutable checks the options; it does not look at the program, which is checked at each run.
func NewExecutable(o ExecutableOptions) (*Executable, error) {
	if err := refresher.JoinFieldErrors(o.Check()); err != nil {
		return nil, err
	}
	o.Timeout = cmp.Or(o.Timeout, defaultRun)
	o.TokenType = cmp.Or(o.TokenType, refresher.TypeJWT)
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	return &Executable{options: o, grace: termGrace, turn: make(chan struct{}, 1)}, nil
}

// Token implements [refresher.Source]. It returns the token in the output file if that is good for ten
// seconds more, and else runs the program. Errors are [*refresher.Error]s of class
// [refresher.SubjectToken]; of class [refresher.Denied] if the program is not safe to run, and
// [refresher.Transient] if ctx ended first.
func (e *Executable) Token(ctx context.Context) (refresher.Token, error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return refresher.Token{}, e.because(refresher.Error{
			Class: refresher.Transient,
			Err:   fmt.Errorf("waiting for the run before: %w", context.Cause(ctx)),
		})
	}
	if token, ok := e.cached(refresher.AttemptFrom(ctx).ServerNow()); ok {
		return token, nil
	}
	token, failure := e.fresh(ctx)
	if failure != nil {
		return refresher.Token{}, e.because(*failure)
	}
	return token, nil
}

// because says which program a failure is about. Its arguments are not for others to read.
func (e *Executable) because(failure refresher.Error) error {
	failure.Err = fmt.Errorf("executable %s: %w", e.options.Command[0], failure.Err)
	return &failure
}

// cached returns the token in the output file, if there is one to use. A file that makes no sense counts
// as none, as in Python's library: Go's, Java's and Node's report it and do not run the executable, but
// a file cut off in the middle of writing is no reason to go without a token.
func (e *Executable) cached(now time.Time) (refresher.Token, bool) {
	if e.options.OutputFile == "" {
		return refresher.Token{}, false
	}
	text, unreadable := readFile(e.options.OutputFile)
	if unreadable != nil {
		return refresher.Token{}, false
	}
	defer clear(text)
	response, err := execsource.Parse(text)
	if err != nil || response.Failure != nil || response.Expires.IsZero() {
		return refresher.Token{}, false
	}
	token, failure := e.token(response)
	return token, failure == nil && token.Expires.After(now.Add(worthwhile))
}

// fresh runs the program.
func (e *Executable) fresh(ctx context.Context) (refresher.Token, *refresher.Error) {
	if failure := guarded(e.options.Command[0]); failure != nil {
		return refresher.Token{}, failure
	}
	printed, complaints, err := e.run(ctx)
	exit, exited := errors.AsType[*exec.ExitError](err)
	if err != nil && !exited {
		return refresher.Token{}, e.runFailure(err)
	}
	response, err := execsource.Parse(printed)
	switch {
	case err == nil && response.Failure != nil: // the exit code is 0 or not: programs differ, libraries too
		return refresher.Token{}, reported(response.Failure)
	case exited:
		return refresher.Token{}, exitFailure(exit, complaints)
	case err != nil:
		failure := noToken(fmt.Errorf("the document it printed: %w", err))
		failure.Hint = "it must print one JSON document of the executable-sourced credentials protocol, and nothing else, to its standard output"
		return refresher.Token{}, failure
	case response.Expires.IsZero() && e.options.OutputFile != "":
		failure := noToken(errors.New("the document it printed: expiration_time is missing"))
		failure.Hint = "make it print expiration_time, which is required with an output file, or configure none"
		return refresher.Token{}, failure
	}
	return e.token(response) // which may have expired: by which clock, the engine knows better
}

// token checks the token of a document. It expires when it says so itself or when the document does,
// whichever is first.
//
// The configured type is what the cloud is told. As with all libraries, an executable may call a JWT
// jwt or id_token, whatever is configured: the token is the same. SAML is another matter.
func (e *Executable) token(response execsource.Response) (refresher.Token, *refresher.Error) {
	if isJWT(response.TokenType) != isJWT(e.options.TokenType) {
		failure := noToken(fmt.Errorf("the document it printed: token_type is %s, but %s is configured", response.TokenType, e.options.TokenType))
		failure.Hint = "configure the token type that the program prints; it is told the configured one in " + execsource.EnvTokenType
		return refresher.Token{}, failure
	}
	raw := refresher.Secret(trim([]byte(response.Token.Reveal())))
	token, _, err := parse(raw, e.options.TokenType)
	if err != nil {
		failure := noToken(fmt.Errorf("the token it printed: %w", err))
		failure.Hint = "run the program by hand, and compare what it prints with the token type"
		return refresher.Token{}, failure
	}
	if at := response.Expires; !at.IsZero() && (token.Expires.IsZero() || at.Before(token.Expires)) {
		token.Expires = at
	}
	return token, nil
}
