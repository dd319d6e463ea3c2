package cluster_test

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The Pods of this file are what the policy makes of them; TestTable has it that the webhook makes the same. They run, and
// the clouds that they ask trust the API server's tokens by what it publishes itself.

func TestRun(t *testing.T) {
	c := clusterOf(t, policyMode)
	image := c.install(t, runValues())

	t.Run("three clouds: SDKs get credentials by the injected variables, whoever may", func(t *testing.T) {
		r := c.runPod(t, image, "three_clouds.yaml", "aws", "google", "entra")
		if who, err := answer(r.Container("first").Output()); err != nil || !strings.HasPrefix(who, clients["aws"].who) {
			t.Errorf("the init container is %q (%v), want %s", who, err, clients["aws"].who)
		}
		r.gets(t, "app", "aws", "google", "entra")
		r.gets(t, "second", "aws", "google", "entra")
		r.sees(t, "app", map[string]string{
			"/var/run/secrets/wisp": "no such file", "/run/wisp/secrets/aws": "43 bytes", "$AWS_REGION": region,
			"$GOOGLE_CLOUD_PROJECT": "shop-prod", "$AZURE_CLIENT_ID": entraClient, "$IDENTITY_HEADER": string(r.object.UID),
			"/var/run/secrets/kubernetes.io/serviceaccount": "token", // it is the application's, if it wants it
		})
		r.sees(t, "bystander", map[string]string{
			"/var/run/secrets/wisp": "no such file", "/run/wisp": "no such file", "$AWS_CONTAINER_CREDENTIALS_FULL_URI": "not set",
			"$IDENTITY_ENDPOINT": "not set", "$GCE_METADATA_HOST": "not set",
		})
		r.sees(t, "wisp", map[string]string{
			"/var/run/secrets/wisp": "aws azure google", "/var/run/secrets/kubernetes.io/serviceaccount": "an empty directory",
		})
	})
	t.Run("AWS: the token is renewed, and void when the Pod is gone", func(t *testing.T) {
		r := c.runPod(t, image, "aws.yaml", "aws")
		r.gets(t, "app", "aws")
		r.rotates(t)
		r.isDeleted(t)
	})
	t.Run("Google: where all are one user", func(t *testing.T) {
		c.runPod(t, image, "google.yaml", "google").gets(t, "app", "google")
	})
	t.Run("Entra: at another port", func(t *testing.T) {
		c.runPod(t, image, "entra.yaml", "entra").gets(t, "app", "entra")
	})
	t.Run("a document by annotation", func(t *testing.T) {
		c.runPod(t, image, "document.yaml").gets(t, "app", "aws")
	})
	t.Run("a Job ends, and wisp after it", func(t *testing.T) {
		r := c.runPod(t, image, "job.yaml", "aws")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		must(t, r.Container("app").Wait(ctx))
		if who, err := answer(r.Container("app").Output()); err != nil || !strings.HasPrefix(who, clients["aws"].who) {
			t.Errorf("the Job is %q (%v), want %s", who, err, clients["aws"].who)
		}
		wisp := r.Container("wisp")
		must(t, wisp.Signal(syscall.SIGTERM)) // as the kubelet does now
		must(t, wisp.Wait(ctx))
	})
	t.Run("link-local: clients that know nothing but the metadata services", func(t *testing.T) {
		r := c.runPod(t, image, "link_local.yaml", "aws", "google")
		r.gets(t, "app", "aws", "google")
		r.sees(t, "app", map[string]string{"/run/wisp": "no such file", "$AWS_CONTAINER_CREDENTIALS_FULL_URI": "not set"})
	})
}

// By a proxy that the values name, and in the application's case its own manifest: what goes to wisp goes past it.
func TestRunBehindAProxy(t *testing.T) {
	c := clusterOf(t, policyMode)
	v := runValues()
	v["env"] = []any{map[string]any{"name": "HTTPS_PROXY", "value": "http://" + proxyAddress}}
	r := c.runPod(t, c.install(t, v), "proxy.yaml", "aws")
	r.gets(t, "app", "aws")
	r.sees(t, "app", map[string]string{"$NO_PROXY": "127.0.0.1,localhost"})
	if host := "sts." + region + ".amazonaws.com:443"; !r.proxy.asked(host) {
		t.Errorf("nobody has asked the proxy for %s", host)
	}
}

// Without native sidecars a container of the Pod has to tell wisp that the work is done.
func TestRunClassicJob(t *testing.T) {
	c := clusterOf(t, webhookMode)
	v := runValues()
	v["sidecar"] = "classic"
	r := c.runPod(t, c.install(t, v), "job_classic.yaml", "aws")
	r.gets(t, "app", "aws")
	wisp := r.Container("wisp")
	if out, err := r.Exec(t.Context(), "app", "", "/wisp", "quit", "--admin", "/run/wisp/admin.sock"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must(t, wisp.Wait(ctx))
}

// rotates insists on that wisp uses a new token once the kubelet has written one.
func (r *running) rotates(t *testing.T) {
	t.Helper()
	first := r.clouds.lastShown()
	must(t, r.Rotate("wisp-tokens"))
	r.cluster.await(t, "a new token to be used", func(context.Context) error {
		if r.clouds.lastShown() != first {
			return nil
		}
		// Get everything anew; what has just been got is left alone.
		return cmp.Or(r.Container("wisp").Signal(syscall.SIGUSR1), errors.New("no other token yet"))
	})
	r.gets(t, "app", "aws")
}

// isDeleted insists on that the API server knows wisp's token, and once the Pod is deleted, does not.
func (r *running) isDeleted(t *testing.T) {
	t.Helper()
	review := func() bool {
		answer, err := r.cluster.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: r.clouds.lastShown(), Audiences: []string{"sts.amazonaws.com"}},
		}, metav1.CreateOptions{})
		must(t, err)
		return answer.Status.Authenticated
	}
	if !review() {
		t.Error("TokenReview refuses the token of a Pod that is there")
	}
	now := int64(0)
	must(t, r.cluster.client.CoreV1().Pods(r.object.Namespace).Delete(t.Context(), r.object.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	r.cluster.await(t, "the token to be void", func(context.Context) error {
		if review() {
			return errors.New("it is still good")
		}
		return nil
	})
}
