package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

const (
	roleKey = "eks.amazonaws.com/role-arn"
	role    = "arn:aws:iam::123456789012:role/reports"
)

// runDirectory runs a directory until the test ends, and returns when it is synced.
func runDirectory(t testing.TB, api *fakeAPI, log logLines) *directory {
	t.Helper()
	d := newDirectory(api.client(t), log.logger(), newMeters())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	for _, m := range []*mirror{d.accounts, d.namespaces} {
		<-m.informer.HasSyncedChecker().Done()
	}
	return d
}

func TestDirectory(t *testing.T) {
	api := newFakeAPI(t)
	api.put("", "shop", map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "team": "a"}, false)
	api.put("shop", "reports", map[string]string{roleKey: role, "kubectl.kubernetes.io/last-applied-configuration": "{}"}, false)
	d := runDirectory(t, api, newLogLines())
	if !d.synced() {
		t.Error("synced() = false after both caches are")
	}

	t.Run("a cached account costs no request", func(t *testing.T) {
		got, err := d.look(t.Context(), "shop", "reports", false)
		want := owner{
			account:         inject.Account{Name: "reports", Annotations: map[string]string{roleKey: role}},
			namespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}
		if err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(owner{})) {
			t.Errorf("look = %+v, %v, want %+v", got, err, want)
		}
		if asked := api.asked(); asked != nil {
			t.Errorf("the API server was asked for %q", asked)
		}
	})
	t.Run("an account that the watch has not told of yet is found by asking", func(t *testing.T) {
		api.put("shop", "late", map[string]string{roleKey: role}, true)
		got, err := d.look(t.Context(), "shop", "late", false)
		if err != nil || got.account.Annotations[roleKey] != role {
			t.Errorf("look = %+v, %v, want the role", got, err)
		}
		if asked, want := api.asked(), []string{accountPath("shop", "late")}; !slices.Equal(asked, want) {
			t.Errorf("the API server was asked for %q, want %q", asked, want)
		}
	})
	t.Run("live asks, whatever the cache has", func(t *testing.T) {
		api.put("shop", "reports", map[string]string{roleKey: role + "2"}, true)
		got, err := d.look(t.Context(), "shop", "reports", true)
		if err != nil || got.account.Annotations[roleKey] != role+"2" {
			t.Errorf("look = %+v, %v, want the new role", got, err)
		}
		if asked, want := api.asked(), []string{accountPath("shop", "reports"), "/api/v1/namespaces/shop"}; !slices.Equal(asked, want) {
			t.Errorf("the API server was asked for %q, want %q", asked, want)
		}
	})
	for _, test := range []struct{ namespace, account, want string }{
		{"shop", "nobody", "wisp cannot be injected: the ServiceAccount nobody does not exist in the namespace shop"},
		{"bazaar", "nobody", "wisp cannot be injected: the ServiceAccount nobody does not exist in the namespace bazaar"},
	} {
		_, err := d.look(t.Context(), test.namespace, test.account, false)
		if !errors.As(err, new(*inject.Refusal)) || err.Error() != test.want {
			t.Errorf("look(%s, %s): %v, want the refusal %q", test.namespace, test.account, err, test.want)
		}
	}
	t.Run("a namespace that is gone is a refusal", func(t *testing.T) {
		api.put("gone", "reports", nil, true)
		_, err := d.look(t.Context(), "gone", "reports", false)
		if want := "wisp cannot be injected: the namespace gone does not exist"; !errors.As(err, new(*inject.Refusal)) || err.Error() != want {
			t.Errorf("look: %v, want the refusal %q", err, want)
		}
	})
	t.Run("an API server in trouble is no refusal", func(t *testing.T) {
		for path, namespace := range map[string]string{accountPath("troubled", "late"): "troubled", "/api/v1/namespaces/unread": "unread"} {
			api.put(namespace, "late", nil, true)
			api.fail(path, http.StatusForbidden)
			_, err := d.look(t.Context(), namespace, "late", false)
			if err == nil || errors.As(err, new(*inject.Refusal)) || !strings.Contains(err.Error(), "the fake was told to") {
				t.Errorf("look in %s: %v, want the API server's error", namespace, err)
			}
		}
	})
	t.Run("nobody is waited for longer than the review may take", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.look(ctx, "shop", "late", true); !errors.Is(err, context.Canceled) {
			t.Errorf("look: %v, want %v", err, context.Canceled)
		}
	})
}

func TestDirectoryIsKeptUpToDate(t *testing.T) {
	api := newFakeAPI(t)
	api.put("", "shop", nil, false)
	api.put("shop", "reports", map[string]string{roleKey: role}, false)
	d := runDirectory(t, api, newLogLines())
	told := make(chan string, 10)
	_, err := d.accounts.informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(any, bool) { told <- "added" },
		UpdateFunc: func(_, _ any) { told <- "changed" },
		DeleteFunc: func(any) { told <- "gone" },
	})
	if err != nil {
		t.Fatal(err)
	}
	<-told // what there was
	api.put("shop", "reports", map[string]string{roleKey: role + "2"}, false)
	if got := <-told; got != "changed" {
		t.Fatalf("after a change the account is %s", got)
	}
	got, err := d.look(t.Context(), "shop", "reports", false)
	if err != nil || got.account.Annotations[roleKey] != role+"2" {
		t.Errorf("look = %+v, %v, want the new role", got, err)
	}
	if asked := api.asked(); asked != nil {
		t.Errorf("the API server was asked for %q", asked)
	}
	api.remove("shop", "reports")
	if got := <-told; got != "gone" {
		t.Fatalf("after its end the account is %s", got)
	}
	if _, err := d.look(t.Context(), "shop", "reports", false); !errors.As(err, new(*inject.Refusal)) {
		t.Errorf("look for an account that is gone: %v, want a refusal", err)
	}
}

func TestDirectoryIsNotSyncedWithoutPermission(t *testing.T) {
	for _, resource := range []string{"serviceaccounts", "namespaces"} {
		t.Run(resource, func(t *testing.T) {
			api := newFakeAPI(t)
			api.fail("/api/v1/"+resource, http.StatusForbidden)
			log := newLogLines()
			d := newDirectory(api.client(t), log.logger(), newMeters())
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); d.Run(ctx) }()
			log.await(t, `"level":"WARN"`, "watch broken", resource, "the fake was told to")
			for _, m := range []*mirror{d.accounts, d.namespaces} {
				if m.resource.Resource != resource {
					<-m.informer.HasSyncedChecker().Done()
				}
			}
			if d.synced() {
				t.Errorf("synced() = true, and nothing is known of %s", resource)
			}
			if d.accounts.meters.watchErrors(resource).Get() == 0 {
				t.Error("the error is not counted")
			}
			stop()
			<-ended
		})
	}
}

// What stays in memory of 500 accounts is what injection reads.
func TestStrip(t *testing.T) {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "reports", Namespace: "shop", UID: "0b1c", ResourceVersion: "7", Generation: 3,
		CreationTimestamp: metav1.NewTime(time.Unix(1, 0)),
		ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Annotations: map[string]string{
			roleKey: role, "iam.gke.io/gcp-service-account": "a", "azure.workload.identity/client-id": "b",
			"wisp-sidecar.github.io/token-expiration": "600", "kubectl.kubernetes.io/last-applied-configuration": "{}",
		},
		Labels:     map[string]string{"app": "reports"},
		Finalizers: []string{"f"},
	}}
	got, err := strip(object)
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "reports", Namespace: "shop", UID: "0b1c", ResourceVersion: "7",
		Annotations: map[string]string{
			roleKey: role, "iam.gke.io/gcp-service-account": "a", "azure.workload.identity/client-id": "b",
			"wisp-sidecar.github.io/token-expiration": "600",
		},
	}}
	if diff := cmp.Diff(any(want), got); diff != "" || err != nil {
		t.Errorf("strip (-want +got), %v:\n%s", err, diff)
	}
}
