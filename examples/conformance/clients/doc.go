// Package clients has the real clients of three clouds judge wisp: SDKs and command-line tools, each at every outlet that
// it can use, with nothing but environment variables to lead them there. The clouds are fakes that verify what the
// real ones verify; wisp is the program built from this checkout.
//
//	go test ./clients             fails if docs/compatibility.md is not what came out
//	go test ./clients -update     writes that page
//
// The suite installs the clients itself, by name and in the versions that testdata/clients pins, into the user's cache
// directory. What cannot be had here is skipped, but is a failure where CI=true.
//
// Each client at each outlet is one process that lives through all of it: it is asked for credentials before the first
// one exists, when there is one, after that one's end, and while the cloud fails. See phases.
package clients
