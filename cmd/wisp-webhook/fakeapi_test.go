package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// A fakeAPI is an API server that has ServiceAccounts and Namespaces. It answers lists, watches (those with
// initial events too) and gets, in JSON. What is put in with quiet is not told to watches, as if they lagged.
type fakeAPI struct {
	server *httptest.Server

	mu       sync.Mutex
	objects  map[string]*metav1.PartialObjectMetadata // by path
	watches  map[chan metav1.WatchEvent]string        // events of a resource
	gets     []string                                 // paths
	failing  map[string]int                           // path -> status
	held     chan struct{}                            // gets wait until it is closed
	arrived  chan string                              // paths of gets, if held
	revision int
}

func newFakeAPI(t testing.TB) *fakeAPI {
	f := &fakeAPI{
		objects: map[string]*metav1.PartialObjectMetadata{},
		watches: map[chan metav1.WatchEvent]string{},
		failing: map[string]int{},
		arrived: make(chan string, 100),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/{resource}", f.all)
	mux.HandleFunc("GET /api/v1/namespaces/{name}", f.one)
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/serviceaccounts/{name}", f.one)
	f.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.server.CloseClientConnections() // the watches
		f.server.Close()
	})
	return f
}

func (f *fakeAPI) client(t testing.TB) metadata.Interface {
	t.Helper()
	client, err := metadata.NewForConfig(&rest.Config{Host: f.server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func accountPath(namespace, name string) string {
	return "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + name
}

// put adds or replaces a ServiceAccount, or a Namespace if namespace is empty. Quiet: no watch is told.
func (f *fakeAPI) put(namespace, name string, annotations map[string]string, quiet bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	object := &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: "0b1c", ResourceVersion: fmt.Sprint(f.revision),
			Annotations:   annotations,
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply}},
		},
	}
	path, resource := accountPath(namespace, name), accounts.Resource
	if namespace == "" {
		path, resource = "/api/v1/namespaces/"+name, namespaces.Resource
		object.Annotations, object.Labels = nil, annotations
	}
	f.objects[path] = object
	if !quiet {
		f.tell(resource, event("MODIFIED", object))
	}
}

// remove removes a ServiceAccount.
func (f *fakeAPI) remove(namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := accountPath(namespace, name)
	f.tell(accounts.Resource, event("DELETED", f.objects[path]))
	delete(f.objects, path)
}

// tell sends an event to the watches of a resource. Call it with mu held.
func (f *fakeAPI) tell(resource string, e metav1.WatchEvent) {
	for watch, of := range f.watches {
		if of == resource {
			watch <- e
		}
	}
}

// fail makes gets of a path fail.
func (f *fakeAPI) fail(path string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing[path] = status
}

// asked returns the paths of all gets since the last call.
func (f *fakeAPI) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	gets := f.gets
	f.gets = nil
	return gets
}

func event(kind string, object any) metav1.WatchEvent {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	e := metav1.WatchEvent{Type: kind}
	e.Object.Raw = text
	return e
}

func (f *fakeAPI) one(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.gets = append(f.gets, r.URL.Path)
	object, status, held := f.objects[r.URL.Path], f.failing[r.URL.Path], f.held
	f.mu.Unlock()
	if held != nil {
		f.arrived <- r.URL.Path
		<-held
	}
	if status == 0 && object == nil {
		status = http.StatusNotFound
	}
	if status != 0 {
		refuse(w, status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}

func refuse(w http.ResponseWriter, status int) {
	reasons := map[int]metav1.StatusReason{
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusForbidden: metav1.StatusReasonForbidden,
		http.StatusInternalServerError: metav1.StatusReasonInternalError,
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(status), Reason: reasons[status], Message: "the fake was told to",
	})
}

func (f *fakeAPI) all(w http.ResponseWriter, r *http.Request) {
	resource, query := r.PathValue("resource"), r.URL.Query()
	f.mu.Lock()
	if status := f.failing[r.URL.Path]; status != 0 {
		f.mu.Unlock()
		refuse(w, status)
		return
	}
	var objects []metav1.PartialObjectMetadata
	for path, object := range f.objects {
		if strings.Contains(path, "/serviceaccounts/") == (resource == accounts.Resource) {
			objects = append(objects, *object)
		}
	}
	revision := fmt.Sprint(f.revision)
	var watch chan metav1.WatchEvent
	if query.Get("watch") != "" {
		watch = make(chan metav1.WatchEvent, 100)
		f.watches[watch] = resource
	}
	f.mu.Unlock()

	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	if watch == nil {
		_ = encoder.Encode(metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
			ListMeta: metav1.ListMeta{ResourceVersion: revision}, Items: objects,
		})
		return
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watches, watch)
	}()
	if query.Get("sendInitialEvents") == "true" {
		for _, object := range objects {
			_ = encoder.Encode(event("ADDED", object))
		}
		_ = encoder.Encode(event("BOOKMARK", metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
			ObjectMeta: metav1.ObjectMeta{
				ResourceVersion: revision, Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
			},
		}))
	}
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case e := <-watch:
			_ = encoder.Encode(e)
		}
	}
}

// A logLines is a log whose lines a test can wait for.
type logLines chan string

func newLogLines() logLines { return make(logLines, 1000) }

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func (l logLines) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// await returns the first line, of those not yet read, that contains all of parts.
func (l logLines) await(t testing.TB, parts ...string) string {
	t.Helper()
	for line := range l {
		if containsAll(line, parts) {
			return line
		}
		t.Logf("passed over: %s", line)
	}
	return ""
}

// drained returns the lines not yet read.
func (l logLines) drained() string {
	var lines []string
	for {
		select {
		case line := <-l:
			lines = append(lines, line)
		default:
			return strings.Join(lines, "")
		}
	}
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}
