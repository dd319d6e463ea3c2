package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

var (
	accounts   = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// keptPrefixes begin the annotations and labels that injection reads. All else is not kept in memory.
var keptPrefixes = []string{
	inject.Prefix, "eks.amazonaws.com/", "iam.gke.io/", "azure.workload.identity/", "pod-security.kubernetes.io/",
}

// A directory knows the ServiceAccounts and Namespaces of the cluster. It is safe for concurrent use.
type directory struct {
	accounts, namespaces *mirror
}

func newDirectory(client metadata.Interface, log *slog.Logger, m *meters) *directory {
	return &directory{accounts: newMirror(client, accounts, log, m), namespaces: newMirror(client, namespaces, log, m)}
}

// Run keeps the directory up to date until ctx ends.
func (d *directory) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, m := range []*mirror{d.accounts, d.namespaces} {
		running.Go(func() { m.informer.RunWithContext(ctx) })
	}
	running.Wait()
}

// synced reports whether all that there was at the start is known.
func (d *directory) synced() bool {
	return d.accounts.informer.HasSynced() && d.namespaces.informer.HasSynced()
}

// look is [admitter].look.
func (d *directory) look(ctx context.Context, namespace, account string, live bool) (owner, error) {
	a, err := d.accounts.get(ctx, namespace, account, live)
	if apierrors.IsNotFound(err) {
		return owner{}, denied("the ServiceAccount %s does not exist in the namespace %s", account, namespace)
	}
	if err != nil {
		return owner{}, fmt.Errorf("get the ServiceAccount %s/%s: %w", namespace, account, err)
	}
	n, err := d.namespaces.get(ctx, "", namespace, live)
	if apierrors.IsNotFound(err) {
		return owner{}, denied("the namespace %s does not exist", namespace)
	}
	if err != nil {
		return owner{}, fmt.Errorf("get the namespace %s: %w", namespace, err)
	}
	return owner{account: inject.Account{Name: account, Annotations: a.Annotations}, namespaceLabels: n.Labels}, nil
}

// denied is a refusal for one reason.
func denied(format string, args ...any) error {
	return &inject.Refusal{Problems: []string{fmt.Sprintf(format, args...)}}
}

// A mirror has the metadata of all objects of one resource, as far as injection needs it.
type mirror struct {
	resource schema.GroupVersionResource
	client   metadata.Getter
	informer cache.SharedIndexInformer
	meters   *meters
}

func newMirror(client metadata.Interface, resource schema.GroupVersionResource, log *slog.Logger, m *meters) *mirror {
	all := client.Resource(resource)
	list := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return all.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return all.Watch(ctx, o)
		},
	}
	// Not metadatainformer: it would link the typed client of every API there is.
	informer := cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(list, client),
		&metav1.PartialObjectMetadata{}, cache.SharedIndexInformerOptions{ObjectDescription: resource.Resource})
	// Both fail only once the informer runs.
	_ = informer.SetTransform(strip)
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			log.Debug("watch begins anew", "resource", resource.Resource, "err", err)
			return
		}
		m.watchErrors(resource.Resource).Inc()
		log.Warn("watch broken, it is tried again", "resource", resource.Resource, "err", err)
	})
	return &mirror{resource: resource, client: all, informer: informer, meters: m}
}

// get returns an object's metadata: from the cache, or from the API server if the cache has none or live is wanted.
// Namespace is empty where the resource has none.
func (m *mirror) get(ctx context.Context, namespace, name string, live bool) (*metav1.PartialObjectMetadata, error) {
	if !live {
		object, found, err := m.informer.GetStore().GetByKey(cache.NewObjectName(namespace, name).String())
		if kept, ok := object.(*metav1.PartialObjectMetadata); ok && found && err == nil {
			return kept, nil
		}
	}
	m.meters.liveGets(m.resource.Resource).Inc()
	if namespace == "" {
		return m.client.Get(ctx, name, metav1.GetOptions{})
	}
	return m.client.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
}

// strip leaves of an object what is read of it.
func strip(object any) (any, error) {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil // the name of one that is gone
	}
	m.ObjectMeta = metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		Annotations: kept(m.Annotations), Labels: kept(m.Labels),
	}
	return m, nil
}

// kept returns what begins with one of keptPrefixes, in a map of its own; nil if nothing does.
func kept(all map[string]string) map[string]string {
	var some map[string]string
	for key, value := range all {
		for _, prefix := range keptPrefixes {
			if strings.HasPrefix(key, prefix) {
				if some == nil {
					some = map[string]string{}
				}
				some[key] = value
			}
		}
	}
	return some
}
