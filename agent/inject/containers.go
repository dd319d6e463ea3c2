package inject

import (
	"slices"
	"strconv"
	"strings"
)

// A variable is one of a container, ours or somebody else's.
type variable struct {
	Name      string  `json:"name"`
	Value     string  `json:"value,omitempty"`
	ValueFrom *source `json:"valueFrom,omitempty"`
}

// A source is where a variable's value comes from. That of a Secret or a ConfigMap is read as one without a field.
type source struct {
	FieldRef fieldRef `json:"fieldRef"`
}

type fieldRef struct {
	FieldPath string `json:"fieldPath"`
}

type volumeMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

// field makes a variable that has a field of the Pod as its value.
func field(name, path string) variable {
	return variable{Name: name, ValueFrom: &source{FieldRef: fieldRef{FieldPath: path}}}
}

// same reports whether two variables of one name have the same value, as far as that is written in the Pod.
func (v variable) same(as variable) bool {
	if v.ValueFrom == nil || as.ValueFrom == nil {
		return v == as
	}
	return *v.ValueFrom == *as.ValueFrom
}

// variables lead a container's clients to the outlets. They are those that wisp env prints, and a test sees to
// it that it stays so.
func (i *injection) variables(c *container) []variable {
	address := "127.0.0.1:" + i.port
	at := "http://" + address
	var all []variable
	add := func(list ...variable) {
		for _, v := range list {
			if (v.Value != "" || v.ValueFrom != nil) && !slices.ContainsFunc(all, func(other variable) bool { return other.Name == v.Name }) {
				all = append(all, v)
			}
		}
	}
	region := i.clientRegion()
	for _, o := range i.outlets {
		if !i.leads(c, o.cloud) {
			continue
		}
		switch o.name {
		case "awsContainer":
			add(variable{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Value: at + "/aws/aws"},
				variable{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Value: runDir + "/secrets/aws"})
			if !i.asks("imds") && !i.linkLocal {
				// Several SDKs would go on to the node's own role if something failed here.
				add(variable{Name: "AWS_EC2_METADATA_DISABLED", Value: "true"})
			}
		case "imds":
			add(variable{Name: "AWS_EC2_METADATA_SERVICE_ENDPOINT", Value: at},
				variable{Name: "AWS_EC2_METADATA_V1_DISABLED", Value: "true"})
		case "gceMetadata":
			add(variable{Name: "GCE_METADATA_HOST", Value: address}, variable{Name: "GCE_METADATA_IP", Value: address},
				variable{Name: "GCE_METADATA_ROOT", Value: address}, variable{Name: "GCE_METADATA_MTLS_MODE", Value: "none"},
				variable{Name: "GOOGLE_CLOUD_PROJECT", Value: i.project(i.policy)})
		case "appService":
			endpoint := at + "/msi/token"
			add(variable{Name: "IDENTITY_ENDPOINT", Value: endpoint}, field("IDENTITY_HEADER", podUID),
				variable{Name: "MSI_ENDPOINT", Value: endpoint}, field("MSI_SECRET", podUID),
				variable{Name: "APPSETTING_WEBSITE_SITE_NAME", Value: "wisp"})
		case "azureIMDS":
			add(variable{Name: "AZURE_POD_IDENTITY_AUTHORITY_HOST", Value: at},
				variable{Name: "MSAL_MANAGED_IDENTITY_ENDPOINT", Value: at + "/metadata/identity/oauth2/token"})
		}
		switch o.cloud {
		case aws:
			add(variable{Name: "AWS_REGION", Value: region}, variable{Name: "AWS_DEFAULT_REGION", Value: region})
		case entra:
			add(variable{Name: "AZURE_CLIENT_ID", Value: i.client.text})
		}
	}
	return all
}

// direct is how loopback is kept from proxies.
const direct = "127.0.0.1,localhost"

// proxies are the variables that name proxies, and the one that names who needs none.
var proxies = []struct {
	exempt string
	names  [2]string
}{
	{"NO_PROXY", [2]string{"HTTP_PROXY", "HTTPS_PROXY"}},
	{"no_proxy", [2]string{"http_proxy", "https_proxy"}},
}

// serve adds what a container lacks.
func (p *patch) serve(i *injection, c *container) {
	if c.mounted(runDir) == "" {
		p.add(c.path+"/volumeMounts", c.hasMounts, volumeMount{Name: runVolume, MountPath: runDir, ReadOnly: true})
	}
	var missing []any
	for _, v := range i.variables(c) {
		if !c.has(v.Name) {
			missing = append(missing, v)
		}
	}
	for _, proxy := range proxies {
		switch {
		case c.has(proxy.exempt):
			p.exempt(c, proxy.exempt)
		case c.has(proxy.names[0]) || c.has(proxy.names[1]):
			missing = append(missing, variable{Name: proxy.exempt, Value: direct})
		}
	}
	p.add(c.path+"/env", c.hasEnv, missing...)
}

// exempt extends the literal values of a variable. It is the only thing of the Pod's own that changes: an
// application that has a proxy would otherwise send its secret there.
func (p *patch) exempt(c *container, name string) {
	for n, v := range c.env {
		if v.Name == name && v.Value != "" && !slices.Contains(entries(v.Value, ","), "127.0.0.1") {
			p.replace(c.path+"/env/"+strconv.Itoa(n)+"/value", strings.Join([]string{v.Value, direct}, ","))
		}
	}
}
