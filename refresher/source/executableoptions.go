package source

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

// Limits and default of [ExecutableOptions.Timeout]: the protocol's.
const (
	minRun     = 5 * time.Second
	maxRun     = 120 * time.Second
	defaultRun = 30 * time.Second
)

// ExecutableOptions configure an [Executable].
type ExecutableOptions struct {
	// Command is the program, by its absolute path, and its arguments, which it gets as they are: no
	// shell, no splitting at blanks. Required. Nobody but the owner may be able to write to the program
	// or to the directory it is in.
	Command []string
	// Timeout ends a run: 5 s to 120 s; 0 means 30 s. The program is asked to end, and killed 2 s later.
	Timeout time.Duration
	// OutputFile, an absolute path, is looked at before the program is run: it may keep its last
	// document there. Empty: the program is run each time.
	OutputFile string
	// Env are the names of environment variables that the program gets from wisp's own, besides
	// HOME and LANG. It gets no others but PATH, which is fixed, and the protocol's.
	Env []string
	// Audience is whom the token is for, as the program is told. Required.
	Audience string
	// TokenType is refresher.TypeJWT (the default), TypeIDToken or TypeSAML2.
	TokenType string
	// ImpersonatedEmail is the service account that the program is told of. Empty: none.
	ImpersonatedEmail string
	// LookupEnv reads wisp's own environment. Nil means os.LookupEnv.
	LookupEnv func(name string) (value string, ok bool)
}

var (
	executableTypes = []string{refresher.TypeJWT, refresher.TypeIDToken, refresher.TypeSAML2}
	variableName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// ownVariables are what no option may take from wisp's own environment.
	ownVariables = []string{
		"PATH", execsource.EnvAudience, execsource.EnvTokenType, execsource.EnvImpersonatedEmail,
		execsource.EnvOutputFile, execsource.EnvInteractive,
	}
)

// Check reports everything that is wrong with the options, nil if nothing is. It does not look at the
// program.
func (o ExecutableOptions) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	const nul = "has a NUL in it"
	if len(o.Command) == 0 || o.Command[0] == "" {
		report("command", "is missing: the absolute path of a program, and its arguments")
	} else if !filepath.IsAbs(o.Command[0]) {
		report("command.0", "%q is not an absolute path: no PATH is searched, and no shell takes a command line apart; each argument is an element of its own", o.Command[0])
	}
	for i, argument := range o.Command {
		if strings.ContainsRune(argument, 0) {
			report(fmt.Sprintf("command.%d", i), nul)
		}
	}
	if o.Timeout != 0 && (o.Timeout < minRun || o.Timeout > maxRun) {
		report("timeout", "%s is not from 5s to 120s", o.Timeout)
	}
	switch {
	case o.OutputFile == "":
	case !filepath.IsAbs(o.OutputFile), strings.HasSuffix(o.OutputFile, "/"), strings.ContainsRune(o.OutputFile, 0):
		report("outputFile", "%q is not the absolute path of a file", o.OutputFile)
	}
	for i, name := range o.Env {
		field := fmt.Sprintf("env.%d", i)
		switch {
		case strings.Contains(name, "="):
			report(field, "must be the name alone: the value is that of wisp's own environment")
		case !variableName.MatchString(name):
			report(field, "%q is not the name of an environment variable", name)
		case slices.Contains(ownVariables, name):
			report(field, "%s is not passed on: wisp sets it", name)
		}
	}
	switch {
	case o.Audience == "":
		report("audience", "is missing: the program is told whom the token is for")
	case strings.ContainsRune(o.Audience, 0):
		report("audience", nul)
	}
	if o.TokenType != "" && !slices.Contains(executableTypes, o.TokenType) {
		report("tokenType", "%q is not one of %s", o.TokenType, strings.Join(executableTypes, ", "))
	}
	if strings.ContainsRune(o.ImpersonatedEmail, 0) {
		report("impersonatedEmail", nul)
	}
	return problems
}

// environment is all that the program gets to see of ours.
func (o ExecutableOptions) environment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range append([]string{"HOME", "LANG"}, o.Env...) {
		if value, ok := o.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	env = append(env,
		execsource.EnvAudience+"="+o.Audience,
		execsource.EnvTokenType+"="+o.TokenType,
		execsource.EnvInteractive+"=0")
	if o.ImpersonatedEmail != "" {
		env = append(env, execsource.EnvImpersonatedEmail+"="+o.ImpersonatedEmail)
	}
	if o.OutputFile != "" {
		env = append(env, execsource.EnvOutputFile+"="+o.OutputFile)
	}
	return env
}
