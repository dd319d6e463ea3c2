// Package cloudtest is a cloud to test against: those who say who a workload is (a Kubernetes token issuer
// and a kubelet, GitHub Actions, the metadata services of Azure, Google Cloud and AWS, a SAML identity
// provider) and the token services of AWS, Google Cloud, Microsoft Entra and any other that knows RFC 8693, each
// a plain [net/http.Handler] that checks what the real service checks and refuses in its words.
//
//	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example.test"})
//	net := cloudtest.NewNetwork()
//	aws := cloudtest.NewAWS(cloudtest.AWSOptions{Transport: net, Providers: …, Roles: …})
//	net.Handle("oidc.example.test", issuer)
//	net.Handle("sts.eu-west-1.amazonaws.com", aws)
//	client := &http.Client{Transport: net}
//
// An [Issuer] mints service-account tokens; [GitHub], [AzureIMDS], [GCEMetadata], [EC2], [AWSContainer] and
// [SAMLIdP] have proofs of their own; each cloud fetches the issuer's keys over its Transport
// and verifies them with a [Verifier]. A [Kubelet] writes tokens to disk the way the real one does.
// An [EKS] is a cluster that has AWS tell whose a token is. Each service embeds a [Faults], which makes
// it fail, throttle, hang or lie on request, and counts calls.
//
// Nothing here opens a socket, keeps a goroutine, or asks a clock other than the Now it was given
// for the time. So everything works in a testing/synctest bubble (over [Network]) as well
// as over real sockets (net/http/httptest, or a demonstration program: the package does not import
// testing).
package cloudtest
