package chart_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// others has for each value of values.yaml one that is valid too, YAML, and what else has to be said for it to count.
var others = map[string]struct{ value, with string }{
	"image.repository":                  {value: "registry.example/wisp"},
	"image.tag":                         {value: "edge"},
	"image.digest":                      {value: "sha256:" + strings.Repeat("0", 64)},
	"image.pullPolicy":                  {value: "Never"},
	"image.pullSecrets":                 {value: "[registry]"},
	"port":                              {value: "19911"},
	"healthPort":                        {value: "19910"},
	"logLevel":                          {value: "warn"},
	"startupSeconds":                    {value: "30"},
	"linkLocal":                         {value: "true"},
	"resources.requests.cpu":            {value: "20m"},
	"resources.requests.memory":         {value: `""`},
	"resources.limits.cpu":              {value: "100m"},
	"resources.limits.memory":           {value: "1Gi"},
	"env":                               {value: "[{name: HTTPS_PROXY, value: http://proxy.example}]"},
	"aws.region":                        {value: "eu-west-1"},
	"aws.audience":                      {value: "https://audience.example"},
	"aws.tokenExpiration":               {value: "600"},
	"google.audience":                   {value: "identitynamespace:shop.svc.id.goog:https://container.googleapis.com/v1/shop"},
	"google.tokenAudience":              {value: "https://audience.example"},
	"google.project":                    {value: "shop-prod"},
	"google.tokenExpiration":            {value: "600"},
	"azure.tenantId":                    {value: "shop.onmicrosoft.com"},
	"azure.authorityHost":               {value: "https://login.microsoftonline.us"},
	"azure.audience":                    {value: "api://AzureADTokenExchangeUSGov"},
	"azure.tokenExpiration":             {value: "600"},
	"sidecar":                           {value: "classic"},
	"webhook.image.repository":          {value: "registry.example/wisp-webhook"},
	"webhook.image.tag":                 {value: "edge"},
	"webhook.image.digest":              {value: "sha256:" + strings.Repeat("0", 64)},
	"webhook.image.pullPolicy":          {value: "Never"},
	"webhook.image.pullSecrets":         {value: "[registry]"},
	"webhook.replicas":                  {value: "3"},
	"webhook.logLevel":                  {value: "warn"},
	"webhook.certificate.source":        {value: "certManager"},
	"webhook.certificate.secretName":    {value: "other", with: `{certificate: {source: secret, secretName: tls, caBundle: "-----BEGIN CERTIFICATE-----"}}`},
	"webhook.certificate.caBundle":      {value: "ours -----BEGIN CERTIFICATE-----", with: `{certificate: {source: secret, secretName: tls, caBundle: "-----BEGIN CERTIFICATE-----"}}`},
	"webhook.certificate.issuerRef":     {value: "{name: ours}", with: `{certificate: {source: certManager}}`},
	"webhook.timeoutSeconds":            {value: "9"},
	"webhook.url":                       {value: "https://webhook.example/inject"},
	"webhook.resources.requests.cpu":    {value: "20m"},
	"webhook.resources.requests.memory": {value: "64Mi"},
	"webhook.resources.limits.memory":   {value: "1Gi"},
	"webhook.podAnnotations":            {value: "{a: b}"},
	"webhook.podLabels":                 {value: "{a: b}"},
	"webhook.nodeSelector":              {value: "{a: b}"},
	"webhook.tolerations":               {value: "[{operator: Exists}]"},
	"webhook.affinity":                  {value: "{nodeAffinity: {}}"},
	"webhook.priorityClassName":         {value: "system-cluster-critical"},
	"webhook.podMonitor":                {value: "true"},
	"webhook.networkPolicy":             {value: "true"},
}

// Each value of values.yaml makes a difference, in each mode that it is for, and none in the other one.
func TestEveryValueCounts(t *testing.T) {
	h := bothHelms(t)[1]
	usual := map[string]string{}
	for _, mode := range []string{"policy", "webhook"} {
		usual[mode] = normal(h.render(t, "mode: "+mode))
	}
	for path := range leaves("", defaults(t), map[string]string{}) {
		if path == "mode" {
			continue // is what the test is about
		}
		other, listed := others[path]
		if !listed {
			t.Errorf("the value %s is not in the test's table", path)
			continue
		}
		for _, mode := range []string{"policy", "webhook"} {
			if path == "sidecar" && mode == "policy" {
				continue // TestRefusals: native is all that there is
			}
			t.Run(path+"/"+mode, func(t *testing.T) {
				t.Parallel()
				values, without := map[string]any{"mode": mode}, usual[mode]
				if other.with != "" {
					values["webhook"] = parse(t, other.with)
					without = normal(h.render(t, text(t, values)))
				}
				put(values, path, parse(t, other.value))
				with := normal(h.render(t, text(t, values)))
				if changes, want := with != without, mode == "webhook" || !strings.HasPrefix(path, "webhook."); changes != want {
					t.Errorf("it changes something: %t, want %t", changes, want)
				}
			})
		}
	}
}

// A value without anything, which is what a key with nothing after it is in YAML, takes the default away in Helm. What would come of
// a Deployment without replicas, or of no mode at all, nobody can have meant.
func TestNoValueMayBeMissing(t *testing.T) {
	all := defaults(t)
	for path := range leaves("", all, map[string]string{}) {
		put(all, path, nil)
	}
	for _, h := range bothHelms(t) {
		out, ok := h.template(t, newest, text(t, all))
		if ok {
			t.Errorf("%s takes them", h.name)
		}
		for path := range leaves("", defaults(t), map[string]string{}) {
			parent, key := "", path
			if at := strings.LastIndex(path, "."); at >= 0 {
				parent, key = "/"+strings.ReplaceAll(path[:at], ".", "/"), path[at+1:]
			}
			if strings.HasPrefix(path, "webhook.resources.") {
				continue // whatever there is for containers, or is not
			}
			if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
				return strings.Contains(line, "at '"+parent+"': missing propert") && strings.Contains(line, "'"+key+"'")
			}) {
				t.Errorf("%s does not say that %s is missing:\n%s", h.name, path, out)
			}
		}
	}
}

// A key that the chart does not know is refused wherever it stands, but where the keys are Kubernetes'.
func TestUnknownKeysEverywhere(t *testing.T) {
	all := defaults(t)
	var places []string
	var add func(place string, object map[string]any)
	add = func(place string, object map[string]any) {
		for key, value := range object {
			free := strings.HasPrefix(place, "/webhook/resources") || place == "/webhook" && slices.Contains([]string{"podAnnotations", "podLabels", "nodeSelector", "affinity"}, key)
			if member, ok := value.(map[string]any); ok && !free {
				add(place+"/"+key, member)
			}
		}
		object["typo"] = "x"
		places = append(places, place)
	}
	add("", all)
	for _, h := range bothHelms(t) {
		out, ok := h.template(t, newest, text(t, all))
		if ok {
			t.Errorf("%s takes them", h.name)
		}
		for _, place := range places {
			if !strings.Contains(out, "at '"+place+"': additional properties 'typo' not allowed") {
				t.Errorf("%s does not say that %s/typo is not known:\n%s", h.name, place, out)
			}
		}
	}
	if len(places) < 10 {
		t.Errorf("%d objects are in values.yaml: %q", len(places), places)
	}
}

func defaults(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text)).(map[string]any)
}

func parse(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func text(t *testing.T, values map[string]any) string {
	t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// put sets the value at a path, with the objects on the way to it.
func put(values map[string]any, path string, value any) {
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		member, ok := values[key].(map[string]any)
		if !ok {
			member = map[string]any{}
			values[key] = member
		}
		values = member
	}
	values[keys[len(keys)-1]] = value
}
