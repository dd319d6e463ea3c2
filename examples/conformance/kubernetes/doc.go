// Package kubernetes has client-go, which kubectl and its like are made of, run wisp as its credential plugin. The API
// servers are fakes that find out who a bearer token is from as those of AKS, EKS and GKE do; wisp is the program built
// from this checkout.
//
//	go test ./kubernetes
package kubernetes
