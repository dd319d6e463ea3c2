package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Helm upgrades the release, and after its removal nothing is as if it had been there.
func TestUpgradeAndUninstall(t *testing.T) {
	for _, mode := range []string{policyMode, webhookMode} {
		t.Run(mode, func(t *testing.T) {
			c := clusterOf(t, mode)
			c.install(t, tableValues(t))
			c.uninstall(t)
			before, err := c.everything(t.Context())
			must(t, err)

			c.install(t, tableValues(t))
			certificate := c.certificate(t)
			changed := tableValues(t)
			changed["logLevel"] = "debug"
			c.install(t, changed)
			if d := cmp.Diff(certificate, c.certificate(t)); d != "" {
				t.Errorf("the certificate before the upgrade (-) and after:\n%s", d)
			}
			made, err := c.create(t.Context(), "canary", canary())
			must(t, err)
			if got := variable(t, made, "WISP_LOG_LEVEL"); got != "debug" {
				t.Errorf("after the upgrade WISP_LOG_LEVEL = %q, want debug", got)
			}

			c.uninstall(t)
			after, err := c.everything(t.Context())
			must(t, err)
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("before (-) and after:\n%s", d)
			}
			without, label := asked(t, canary())
			plain, err := c.create(t.Context(), "canary", without)
			must(t, err)
			c.await(t, "Pods to be left alone", func(ctx context.Context) error {
				made, err := c.create(ctx, "canary", canary())
				if err != nil {
					return err
				}
				if d := cmp.Diff(string(compact(t, withLabel(t, plain, label))), string(compact(t, made))); d != "" {
					return errors.New("a Pod without (-) and with the label:\n" + d)
				}
				return nil
			})
		})
	}
}

// certificate is the webhook's, nil if there is no webhook.
func (c *cluster) certificate(t *testing.T) map[string][]byte {
	t.Helper()
	secret, err := c.client.CoreV1().Secrets(releaseNamespace).Get(t.Context(), release+"-webhook-tls", metav1.GetOptions{})
	if c.mode == policyMode && apierrors.IsNotFound(err) {
		return nil
	}
	must(t, err)
	return secret.Data
}

// The webhook's certificate can be one that is there already.
func TestCertificateOfASecret(t *testing.T) {
	c := clusterOf(t, webhookMode)
	c.install(t, tableValues(t)) // with a certificate that Helm makes
	made, err := c.client.CoreV1().Secrets(releaseNamespace).Get(t.Context(), release+"-webhook-tls", metav1.GetOptions{})
	must(t, err)
	own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "of-our-own"}, Type: made.Type, Data: made.Data}
	_, err = c.client.CoreV1().Secrets(releaseNamespace).Create(t.Context(), own, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		must(t, c.client.CoreV1().Secrets(releaseNamespace).Delete(context.Background(), own.Name, metav1.DeleteOptions{}))
	})
	v := tableValues(t)
	v["webhook"] = map[string]any{"certificate": map[string]any{
		"source": "secret", "secretName": own.Name, "caBundle": string(made.Data["ca.crt"]),
	}}
	c.install(t, v)
	_, err = c.client.CoreV1().Secrets(releaseNamespace).Get(t.Context(), made.Name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the Secret that Helm has made: %v, want that it is gone", err)
	}
}

// What the chart renders has no field and no value that the API server does not know; it would drop the former in silence.
func TestStrictFields(t *testing.T) {
	for _, mode := range []string{policyMode, webhookMode} {
		t.Run(mode, func(t *testing.T) {
			c := clusterOf(t, mode)
			c.namespace(t, releaseNamespace, nil)
			v := tableValues(t)
			v["mode"] = mode
			render := exec.Command(c.helm, "template", "strict-"+release, "../../charts/wisp", "--namespace", releaseNamespace,
				"--kube-version", "1.36.3", "--values", c.write(t, "strict.json", v))
			text, err := render.Output()
			must(t, err)
			rendered := objects(t, text)
			if len(rendered) < 5 {
				t.Errorf("%d objects are rendered, want at least 5", len(rendered))
			}
			for _, object := range rendered {
				c.apply(t, releaseNamespace, object, metav1.DryRunAll)
			}
		})
	}
}

// variable is the value of a variable of wisp.
func variable(t *testing.T, pod []byte, name string) string {
	t.Helper()
	var parsed corev1.Pod
	must(t, json.Unmarshal(pod, &parsed))
	for _, container := range parsed.Spec.InitContainers {
		for _, v := range container.Env {
			if container.Name == "wisp" && v.Name == name {
				return v.Value
			}
		}
	}
	return ""
}
