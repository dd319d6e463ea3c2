// Package execsource is the protocol, version 1, by which Google's client libraries get a subject token
// from an executable: the JSON document that the executable prints, and the environment variables that
// it is told with what to print. It is read by the source that runs executables, and written where wisp
// is the executable itself.
//
// Source: https://google.aip.dev/auth/4117
package execsource

// Environment variables of the protocol. Where nothing else is said, a library always sets them for the
// executable.
const (
	// EnvAudience is the audience of the configuration.
	EnvAudience = "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE"
	// EnvTokenType is the subject token type of the configuration, an RFC 8693 URI.
	EnvTokenType = "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE"
	// EnvImpersonatedEmail is the service account to impersonate; only set if there is one.
	EnvImpersonatedEmail = "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL"
	// EnvOutputFile is where the executable may also write its document, for the library to find there
	// before it runs the executable again; only set if such a file is configured.
	EnvOutputFile = "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE"
	// EnvInteractive is "1" if a person is there to answer questions, else "0".
	EnvInteractive = "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE"
	// EnvAllowExecutables is for the library: in its own environment it has to be "1", or no executable
	// is run.
	EnvAllowExecutables = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
)
