// Package pairs has a configuration for every way in which a workload can prove itself, with every cloud
// that takes it: a Kubernetes token, a URL, a program, a job of GitHub Actions, a virtual machine of Azure,
// Google Cloud or AWS, a SAML assertion, and another identity of wisp's own. With it comes the world in
// which these work: fakes on one address that check what the real services check.
//
// The documents of [World.Pairs] are worth reading as examples. The playground runs them all, and so do
// the tests of package agent.
package pairs
