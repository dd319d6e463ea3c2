package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

var update = flag.Bool("update", false, "write the golden files anew")

func readPolicy(t testing.TB) *inject.Policy {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := inject.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// newShop is an API server with the accounts of the recorded reviews.
func newShop(t testing.TB) *fakeAPI {
	api := newFakeAPI(t)
	api.put("", "shop", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, false)
	api.put("shop", "default", nil, false)
	api.put("shop", "reports", map[string]string{roleKey: role}, false)
	api.put("shop", "three", map[string]string{
		roleKey:                              role,
		"iam.gke.io/gcp-service-account":     "reports@example-project.iam.gserviceaccount.com",
		"azure.workload.identity/client-id":  "11111111-2222-3333-4444-555555555555",
		"azure.workload.identity/tenant-id":  "99999999-8888-7777-6666-555555555555",
		"azure.workload.identity/unknown-to": "wisp",
	}, false)
	return api
}

// newShopHandler answers reviews about Pods of the shop.
func newShopHandler(t testing.TB, log logLines) http.Handler {
	d := runDirectory(t, newShop(t), log)
	return newHandler(handlerOptions{
		Admit:       (&admitter{policy: readPolicy(t), look: d.look, log: log.logger()}).admit,
		MaxInFlight: 4,
		Draining:    func() bool { return false },
		Log:         log.logger(),
		Meters:      newMeters(),
	})
}

func post(h http.Handler, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/inject?timeout=30s", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answered is the response of an answer, with its patch decoded.
func answered(t testing.TB, w *httptest.ResponseRecorder) (response *admissionv1.AdmissionResponse, patch []operation) {
	t.Helper()
	var review admissionv1.AdmissionReview
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("the answer is %d %s\n%s", w.Code, w.Header(), w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil {
		t.Fatal(err)
	}
	if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" || review.Response == nil {
		t.Fatalf("the answer is %s", w.Body)
	}
	if len(review.Response.Patch) > 0 {
		if err := json.Unmarshal(review.Response.Patch, &patch); err != nil {
			t.Fatal(err)
		}
	}
	return review.Response, patch
}

func readReview(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "reviews", name+".request.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The requests were recorded from kube-apiserver 1.36.3. The golden answers have the patch as JSON; on the wire it is in Base64.
func TestReviews(t *testing.T) {
	h := newShopHandler(t, newLogLines())
	requests, err := filepath.Glob(filepath.Join("testdata", "reviews", "*.request.json"))
	if err != nil || len(requests) == 0 {
		t.Fatalf("there are no requests: %v", err)
	}
	for _, file := range requests {
		name := strings.TrimSuffix(filepath.Base(file), ".request.json")
		t.Run(name, func(t *testing.T) {
			w := post(h, readReview(t, name))
			response, patch := answered(t, w)
			var readable map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &readable); err != nil {
				t.Fatal(err)
			}
			if patch != nil {
				readable["response"].(map[string]any)["patch"] = patch
			} else if response.PatchType != nil {
				t.Errorf("there is no patch, but the type %s", *response.PatchType)
			}
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(readable); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "reviews", name+".response.json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestTheSamePodTwice(t *testing.T) {
	h := newShopHandler(t, newLogLines())
	for _, name := range []string{"injected", "three-clouds-dry-run"} {
		var review map[string]any
		if err := json.Unmarshal([]byte(readReview(t, name)), &review); err != nil {
			t.Fatal(err)
		}
		ask := func() (*admissionv1.AdmissionResponse, []operation) {
			body, err := json.Marshal(review)
			if err != nil {
				t.Fatal(err)
			}
			return answered(t, post(h, string(body)))
		}
		if _, patch := ask(); len(patch) == 0 {
			t.Fatalf("%s: the first answer has no patch", name)
		} else {
			request := review["request"].(map[string]any)
			request["object"] = apply(t, request["object"], patch)
		}
		if response, patch := ask(); !response.Allowed || response.PatchType != nil || patch != nil {
			t.Errorf("%s: the second answer is %+v with the patch %v, want allowed without", name, response, patch)
		}
	}
}

// good is a review of a Pod that is injected.
const good = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE",
	"resource":{"group":"","version":"v1","resource":"pods"},"namespace":"shop","object":{"kind":"Pod","apiVersion":"v1",
	"metadata":{"name":"p","labels":{"wisp-sidecar.github.io/inject":"true"}},"spec":{"serviceAccountName":"reports","containers":[{"name":"app"}]}}}}`

// goodWith is good with something in the place of something else.
func goodWith(t testing.TB) func(old, new string) string {
	return func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the review", old)
		}
		return strings.Replace(good, old, new, 1)
	}
}

// What is not the creation of a Pod with the label is none of ours.
func TestLeftAlone(t *testing.T) {
	h, with := newShopHandler(t, newLogLines()), goodWith(t)
	if _, patch := answered(t, post(h, good)); patch == nil {
		t.Fatal("the good review has no patch")
	}
	for _, review := range []string{
		with(`"CREATE"`, `"UPDATE"`), with(`"CREATE"`, `"DELETE"`), with(`"CREATE"`, `"CONNECT"`),
		with(`"resource":"pods"}`, `"resource":"pods"},"subResource":"binding"`),
		with(`"resource":"pods"`, `"resource":"podtemplates"`), with(`"group":""`, `"group":"metrics.k8s.io"`), with(`"version":"v1"`, `"version":"v2"`),
		with(`inject":"true"`, `inject":"True"`), with(`inject":"true"`, `inject":"false"`), with(`inject":"true"`, `inject":""`),
	} {
		if response, patch := answered(t, post(h, review)); !response.Allowed || patch != nil || response.Warnings != nil {
			t.Errorf("the answer to %s is %+v with the patch %v, want allowed and no more", review, response, patch)
		}
	}
}

// Without the ServiceAccount plugin a Pod does not say whose it is.
func TestThePodOfNoAccount(t *testing.T) {
	response, _ := answered(t, post(newShopHandler(t, newLogLines()), goodWith(t)(`"serviceAccountName":"reports",`, "")))
	if response.Allowed || !strings.Contains(response.Result.Message, "neither the ServiceAccount default nor the Pod says who it is") {
		t.Errorf("the answer is %+v, want a refusal for the account default", response)
	}
}

// Whoever writes much is not told all of it.
func TestLongAnswersAreCut(t *testing.T) {
	h, with := newShopHandler(t, newLogLines()), goodWith(t)
	var annotations, containers strings.Builder
	for n := range 200 {
		fmt.Fprintf(&annotations, `"wisp-sidecar.github.io/unknown-%d":"",`, n)
		fmt.Fprintf(&containers, `{"name":"c%d","env":[{"name":"AWS_PROFILE","value":"x"}]},`, n)
	}
	response, _ := answered(t, post(h, with(`"labels"`, `"annotations":{`+strings.TrimSuffix(annotations.String(), ",")+`},"labels"`)))
	if got := response.Result.Message; response.Allowed || utf8.RuneCountInString(got) != 4000 || !strings.HasSuffix(got, "…") {
		t.Errorf("the refusal has %d characters, want 4000 and …", utf8.RuneCountInString(got))
	}
	response, _ = answered(t, post(h, with(`{"name":"app"}`, strings.TrimSuffix(containers.String(), ","))))
	if n := len(response.Warnings); !response.Allowed || n > 100 || !strings.HasSuffix(response.Warnings[n-1], "more warnings about this Pod") {
		t.Errorf("there are %d warnings, and the last one is %q", n, response.Warnings[n-1])
	}
}

// A few bytes of a Pod can ask for a lot.
func TestTooMuchOfAPod(t *testing.T) {
	with := goodWith(t)
	h := newShopHandler(t, newLogLines())
	most := with(`[{"name":"app"}]`, `[{"name":"`+strings.Repeat("a", maxName)+`"}`+strings.Repeat(`,{}`, maxContainers-1)+"]")
	if response, patch := answered(t, post(h, most)); !response.Allowed || patch == nil {
		t.Errorf("the largest Pod is answered with %+v", response)
	}
	for _, test := range []struct{ name, body, want string }{
		{"more containers than any Pod has", with(`[{"name":"app"}]`, `[{"name":"app"}`+strings.Repeat(`,{}`, maxContainers)+"]"), "the Pod has 1001 containers, and 1000 are the most"},
		{"more containers in two lists", with(`"containers":[`, `"initContainers":[{}`+strings.Repeat(`,{}`, maxContainers-1)+`],"containers":[`), "the Pod has 1001 containers, and 1000 are the most"},
		{"a long name", with(`"app"`, `"`+strings.Repeat("a", maxName+1)+`"`), "the name of a container has 254 characters, and 253 are the most"},
		{"a value that is longer in JSON", with(`{"name":"app"}`, `{"name":"app","env":[{"name":"NO_PROXY","value":"`+strings.Repeat("<", maxPatch/6)+`"}]}`), "what the Pod lacks has more than 3145728 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, patch := answered(t, post(h, test.body))
			if want := "wisp cannot be injected: " + test.want; response.Allowed || patch != nil || response.Result.Message != want {
				t.Errorf("the answer is %+v, want a refusal: %s", response, want)
			}
		})
	}
}

func TestBadReviews(t *testing.T) {
	with := goodWith(t)
	object := good[strings.Index(good, `{"kind":"Pod"`) : len(good)-2]
	log := newLogLines()
	h := newShopHandler(t, log)
	answered(t, post(h, good))
	for _, test := range []struct {
		name, body string
		change     func(*http.Request)
		status     int
		want       string
	}{
		{"10 MiB", strings.Repeat(" ", 10<<20), nil, 413, "the body has more than 3145728 bytes"},
		{"10 MiB that are not announced", strings.Repeat(" ", 10<<20), func(r *http.Request) { r.ContentLength = -1 }, 413, "the body has more than 3145728 bytes"},
		{"another version", with("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), nil, 400, `the body is "AdmissionReview" of "admission.k8s.io/v1beta1", want AdmissionReview of admission.k8s.io/v1`},
		{"another kind", with("AdmissionReview", "ConversionReview"), nil, 400, `the body is "ConversionReview" of`},
		{"a name in capitals", with(`"uid"`, `"UID"`), nil, 400, "the AdmissionReview's request has no uid"},
		{"no uid", with(`"uid":"1"`, `"uid":""`), nil, 400, "the AdmissionReview's request has no uid"},
		{"no request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"1","allowed":true}}`, nil, 400, "the AdmissionReview has no request"},
		{"nothing", "", nil, 400, "the body is not an AdmissionReview"},
		{"a list", "[]", nil, 400, "the body is not an AdmissionReview"},
		{"null", "null", nil, 400, `the body is "" of ""`},
		{"something behind it", good + "{}", nil, 400, "the body is not an AdmissionReview"},
		{"100,000 deep", strings.Repeat(`{"request":`, 100_000), nil, 400, "the body is not an AdmissionReview"},
		{"a Pod that is a string", with(object, `"Pod"`), nil, 400, "the request's object is not a Pod"},
		{"a Pod that is a list", with(object, `[]`), nil, 400, "the request's object is not a Pod"},
		{"a Pod that is null", with(object, `null`), nil, 400, "the request's object is not a Pod"},
		{"no Pod", with(`"object"`, `"oldObject"`), nil, 400, "the request's object is not a Pod"},
		{"labels that are none", with(`"labels":{`, `"labels":{"a":1,`), nil, 400, "the request's object is not a Pod"},
		{"containers that are none", with(`[{"name":"app"}]`, `{"name":"app"}`), nil, 400, "the Pod cannot be read"},
		{"nine hundred containers that are none", with(`[{"name":"app"}]`, "["+strings.Repeat("1,", 900)+"1]"), nil, 400, "the Pod cannot be read"},
		{"YAML", good, func(r *http.Request) { r.Header.Set("Content-Type", "application/yaml") }, 415, "the Content-Type is not application/json"},
		{"no Content-Type", good, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "the Content-Type is not application/json"},
		{"GET", "", func(r *http.Request) { r.Method = "GET" }, 405, "Method Not Allowed"},
		{"another path", good, func(r *http.Request) { r.URL.Path = "/" }, 404, "not found"},
		{"a body that breaks off", good, func(r *http.Request) { r.Body = io.NopCloser(&broken{}) }, 400, "read the body: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := test.change
			if change == nil {
				change = func(*http.Request) {}
			}
			w := post(h, test.body, change)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("the answer is %d %.300s, want %d %s", w.Code, w.Body, test.status, test.want)
			}
			if strings.Count(w.Body.String(), "\n") != 1 || utf8.RuneCount(w.Body.Bytes()) > maxSentence+1 {
				t.Errorf("the answer is no sentence: %.2000s", w.Body)
			}
		})
	}
}

// broken is a body whose sender went away.
type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestFitWarnings(t *testing.T) {
	long := strings.Repeat("ä", 300)
	if got, want := fitWarnings([]string{"short", long}), []string{"short", strings.Repeat("ä", 255) + "…"}; !cmp.Equal(got, want) {
		t.Errorf("fitWarnings = %q, want %q", got, want)
	}
	if got := fitWarnings(nil); got != nil {
		t.Errorf("fitWarnings(nil) = %q, want nil", got)
	}
	var many []string
	for n := range 100 {
		many = append(many, fmt.Sprintf("%d %s", n, long))
	}
	got := fitWarnings(many)
	if n, last := len(got), got[len(got)-1]; n != 16 || last != "wisp has 85 more warnings about this Pod" {
		t.Errorf("of 100 warnings %d are told, the last of them is %q", n, last)
	}
	if all := utf8.RuneCountInString(strings.Join(got, "")); all > maxWarnings {
		t.Errorf("all warnings have %d characters, want %d at most", all, maxWarnings)
	}
}

// FuzzDecodeReview: no review makes the webhook panic, and every answer is for the uid that was asked about.
func FuzzDecodeReview(f *testing.F) {
	requests, err := filepath.Glob(filepath.Join("testdata", "reviews", "*.request.json"))
	if err != nil || len(requests) == 0 {
		f.Fatalf("there are no requests: %v", err)
	}
	for _, file := range requests {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","resource":{"version":"v1","resource":"pods"},"object":[]}}`))
	d := runDirectory(f, newShop(f), newLogLines())
	a := &admitter{policy: readPolicy(f), look: func(ctx context.Context, namespace, account string, _ bool) (owner, error) {
		return d.look(ctx, "shop", "three", false) // the API server is none of it
	}, log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, body []byte) {
		request, err := decodeReview(body)
		if err != nil {
			return
		}
		response, result, err := a.admit(t.Context(), request)
		if err != nil {
			return
		}
		if response.UID != request.UID || response.UID == "" {
			t.Errorf("asked about %q, the answer is about %q", request.UID, response.UID)
		}
		if response.Allowed != (result != refused) || (response.Patch != nil) != (result == injected) || (response.Result != nil) != (result == refused) {
			t.Errorf("%s: %+v", result, response)
		}
		if len(response.Patch) > 0 && !json.Valid(response.Patch) {
			t.Errorf("the patch is %q", response.Patch)
		}
	})
}
