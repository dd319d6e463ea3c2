package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// objects are the documents of a YAML file.
func objects(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for reader := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		var object unstructured.Unstructured
		err := reader.Decode(&object)
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		if object.Object != nil {
			all = append(all, &object)
		}
	}
}

// apply creates an object, in earnest or not. A field or value that the server does not know is an error. What is there already
// stays as it is.
func (c *cluster) apply(t *testing.T, namespace string, object *unstructured.Unstructured, dryRun ...string) {
	t.Helper()
	kinds, err := restmapper.GetAPIGroupResources(c.client.Discovery())
	must(t, err)
	kind := object.GroupVersionKind()
	mapping, err := restmapper.NewDiscoveryRESTMapper(kinds).RESTMapping(kind.GroupKind(), kind.Version)
	must(t, err)
	client, err := dynamic.NewForConfig(c.quiet)
	must(t, err)
	var into dynamic.ResourceInterface = client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if own := object.GetNamespace(); own != "" {
			namespace = own
		}
		into = client.Resource(mapping.Resource).Namespace(namespace)
	}
	_, err = into.Create(t.Context(), object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

// everything lists all objects of the cluster that belong to no namespace, and all of the release's namespace, but
// events, which come and go.
func (c *cluster) everything(ctx context.Context) ([]string, error) {
	lists, err := discovery.ServerPreferredResources(c.client.Discovery())
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(c.quiet)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, kind := range list.APIResources {
			if !slices.Contains(kind.Verbs, "list") || kind.Name == "events" {
				continue
			}
			var from dynamic.ResourceInterface = client.Resource(version.WithResource(kind.Name))
			if kind.Namespaced {
				from = client.Resource(version.WithResource(kind.Name)).Namespace(releaseNamespace)
			}
			found, err := from.List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, err
			}
			for _, object := range found.Items {
				all = append(all, kind.Name+"/"+object.GetName())
			}
		}
	}
	slices.Sort(all)
	return all, nil
}
