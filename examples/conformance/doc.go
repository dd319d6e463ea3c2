// Package conformance has others judge wisp. Package clients in it is the table of real clients and outlets, and
// package kubernetes has client-go run wisp. Here they judge a playground that the tests start: SDKs for Go in this
// process, and whatever of the AWS CLI, gcloud and curl the machine has, with nothing but its env.sh to tell them where
// they are. Google's own libraries read the same external_account files as wisp does and have to come to the same end.
// A Keycloak judges the token exchange of RFC 8693.
//
//	cd examples/conformance && go test ./...          takes about five minutes
//	cd examples/conformance && go test -short ./...   leaves out the long look at renewals
//
// A client that is missing is skipped, but is a failure where CI=true. Keycloak needs Java and Maven, which fetches
// it once, into the user's cache directory: half a gigabyte when unpacked.
//
// It is a module of its own because of what the SDKs drag along.
package conformance
