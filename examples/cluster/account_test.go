package cluster_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wisp-sidecar/wisp/agent/inject/injecttest"
)

// tableValues are those of most Pods of the table.
func tableValues(t *testing.T) values {
	t.Helper()
	for _, c := range injecttest.Read(t, "../../agent/inject/testdata") {
		if c.Overlay == nil {
			var v values
			must(t, json.Unmarshal(c.Policy, &v))
			return chartValues(v)
		}
	}
	t.Fatal("all Pods of the table have policies of their own")
	return nil
}

// plainPod is a Pod of an account.
func plainPod(account string) []byte {
	return fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "labels": {%q: "true"}},
		"spec": {"serviceAccountName": %q, "containers": [{"name": "app", "image": "app"}]}}`, injectLabel, account)
}

// late is what the policy says of an account that it does not see.
const late = "wisp has not been injected: the ServiceAccount unlabelled needs the label " + identityLabel + `: "true"` +
	" (if it has been set a moment ago, try again in some seconds)"

// The label on ServiceAccounts is the policy's, which cannot look any up; the webhook can.
func TestAccountWithoutLabel(t *testing.T) {
	for mode, wanted := range map[string]string{policyMode: late, webhookMode: ""} {
		t.Run(mode, func(t *testing.T) {
			c := clusterOf(t, mode)
			image := c.install(t, tableValues(t))
			c.namespace(t, "unlabelled", nil)
			_, err := c.client.CoreV1().ServiceAccounts("unlabelled").Create(t.Context(), &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Name: "unlabelled", Annotations: annotations["aws"]},
			}, metav1.CreateOptions{})
			must(t, err)
			made, err := c.create(t.Context(), "unlabelled", plainPod("unlabelled"))
			if got := sentence(err); got != wanted {
				t.Errorf("refusal = %q, want %q", got, wanted)
			}
			if err == nil && sidecar(made) != image {
				t.Errorf("the sidecar's image is %q, want %q", sidecar(made), image)
			}
		})
	}
}

// A Pod that is made right after its account. The webhook asks the API server for an account that it does not know yet. The policy sees
// accounts in the cache of the API server only: either the Pod is injected, or it is refused with a sentence that
// says to try again, never let through without wisp.
func TestAccountMadeJustNow(t *testing.T) {
	const tries = 20
	for _, mode := range []string{policyMode, webhookMode} {
		t.Run(mode, func(t *testing.T) {
			c := clusterOf(t, mode)
			image := c.install(t, tableValues(t))
			c.namespace(t, "just-now", nil)
			missed := 0
			for i := range tries {
				account := fmt.Sprintf("account-%d", i)
				c.account(t, "just-now", account, annotations["aws"])
				made, err := c.create(t.Context(), "just-now", plainPod(account))
				switch said := sentence(err); {
				case err == nil && sidecar(made) != image:
					t.Fatalf("the sidecar's image is %q, want %q", sidecar(made), image)
				case err != nil && mode == policyMode && said == strings.ReplaceAll(late, "unlabelled", account):
					missed++
				case err != nil:
					t.Fatal(err)
				}
			}
			t.Logf("of %d Pods, %d came before the API server had noticed their account", tries, missed)
		})
	}
}

// An account that comes to have annotations, or loses them, counts as it is now.
func TestAccountChanged(t *testing.T) {
	for _, mode := range []string{policyMode, webhookMode} {
		t.Run(mode, func(t *testing.T) {
			c := clusterOf(t, mode)
			c.install(t, tableValues(t))
			c.namespace(t, "changed", nil)
			for _, has := range []map[string]string{nil, annotations["aws"], annotations["entra"], nil} {
				c.account(t, "changed", "reports", has)
				wanted := map[bool]string{true: "neither the ServiceAccount"}[has == nil]
				c.await(t, fmt.Sprintf("annotations %v", has), func(ctx context.Context) error {
					_, err := c.create(ctx, "changed", plainPod("reports"))
					if said := sentence(err); !strings.HasPrefix(strings.TrimPrefix(said, refusal), wanted) || (err == nil) != (has != nil) {
						return errors.New(cmp.Or(said, "it is injected"))
					}
					return nil
				})
			}
		})
	}
}
