// Package conformance has real clients judge wisp: SDKs for Go in this process, and whatever of the AWS
// CLI, boto3, gcloud and curl the machine has, each against a playground that the tests start, with
// nothing but its env.sh to tell them where they are.
//
//	cd examples/conformance && go test ./...          takes about two minutes
//	cd examples/conformance && go test -short ./...   leaves out the long look at renewals
//
// A client that is missing is skipped, but is a failure where CI=true.
//
// It is a module of its own because of what the SDKs drag along.
package conformance
