// Package cluster proves injection on a real API server, in both modes of the chart.
//
//	make cluster
//
// or, here, go test ./... It takes two to three minutes; the first time some ten more, in which kube-apiserver, kubectl
// and Helm are built from their Go modules (directories apiserver, helm3, helm4). What has to be there besides Go is etcd
// (Debian's package etcd-server), and root on Linux for the tests that run Pods. Where that is missing these tests
// are skipped, but with CI=true they fail.
//
// Each mode has an API server and an etcd of its own on loopback (package control), on which Helm installs the chart. There are no
// controllers and no kubelet: the Pod that a Deployment would make is made by the test. The webhook is a process, with the policy, the
// certificate and the permissions that the chart gives it.
//
//   - TestTable: the table of Pods of agent/inject; policy, webhook and package inject make the same of each, and say the same.
//     What the modes differ in by their nature is written down there and in account_test.go.
//   - TestRun…: injected Pods run as processes (package kubelet). Clouds that trust the API server's issuer give credentials
//     to their own SDKs, in other containers.
//   - TestOddPods: Pods that nobody makes but by mistake, or to do harm.
//   - TestExamples: every file of examples/kubernetes, with the values beside it; TestReadme, TestChartREADME: the READMEs' commands.
//   - TestUpgradeAndUninstall, TestChangeOfMode, TestStrictFields: the chart.
//   - TestLatency: what admission takes. It is printed and not judged.
//
// kube-apiserver and its kin have modules of their own: they hold requirements that those of the tests must not move, and an update of
// wisp's requirements is no reason to build them again, which takes minutes.
package cluster
