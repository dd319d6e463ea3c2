package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How long it takes to create a Pod, without injection and in each mode, by the number of labelled ServiceAccounts in its
// namespace: the policy is evaluated for each. Only printed.
func TestLatency(t *testing.T) {
	const most = 500
	for _, mode := range []string{policyMode, webhookMode} {
		c := clusterOf(t, mode)
		c.install(t, tableValues(t))
		for _, accounts := range []int{1, most} {
			namespace := fmt.Sprintf("latency-%d", accounts)
			c.namespace(t, namespace, nil)
			must(t, c.client.CoreV1().ServiceAccounts(namespace).Delete(t.Context(), "default", metav1.DeleteOptions{}))
			group, ctx := errgroup.WithContext(t.Context())
			group.SetLimit(16)
			for i := range accounts {
				group.Go(func() error {
					_, err := c.client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
						Name: fmt.Sprintf("account-%d", i), Annotations: annotations["aws"], Labels: map[string]string{identityLabel: "true"},
					}}, metav1.CreateOptions{})
					return err
				})
			}
			must(t, group.Wait())
			pod := plainPod(fmt.Sprintf("account-%d", accounts-1))
			without, _ := asked(t, pod)
			plain := c.measure(t, namespace, without)
			injected := c.measure(t, namespace, pod)
			t.Logf("%s, %d ServiceAccounts: a Pod takes %s, without injection %s", mode, accounts, injected, plain)
		}
	}
}

// measure creates a Pod many times.
func (c *cluster) measure(t *testing.T, namespace string, pod []byte) string {
	t.Helper()
	c.await(t, "the account", func(ctx context.Context) error {
		_, err := c.create(ctx, namespace, pod)
		return err
	})
	var took []time.Duration
	for range 50 {
		began := time.Now()
		_, err := c.create(t.Context(), namespace, pod)
		must(t, err)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[len(took)*percent/100].Round(100 * time.Microsecond) }
	return fmt.Sprintf("%v (90 %%: %v)", at(50), at(90))
}
