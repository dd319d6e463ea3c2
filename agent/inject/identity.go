package inject

import (
	"cmp"
	"strings"
)

// A value is one that the Pod or its ServiceAccount have said, and where.
type value struct {
	text string
	key  string // annotation; empty: it is the policy's
}

// An identity is who a Pod is to the clouds. Clouds that are off have no identity.
type identity struct {
	on [len(clouds)]bool
	// expiration is that of each cloud's token in seconds.
	expiration [len(clouds)]value
	// audience is that of each cloud's token.
	audience [len(clouds)]value

	role, region, regional   value // AWS; regional: the STS of the region is to be asked
	account, provider, quota value // Google
	client, tenant           value // Entra
	documentExpiration       value // of the tokens that a document asks for
	document                 bool  // the Pod brings a whole configuration
}

// annotations are those that say who a Pod is.
type annotations struct{ pod, account map[string]string }

// A vendor's annotation, which EKS, GKE or AKS know, too.
type vendor struct {
	key string
	pod bool // it is one of Pods as well as of ServiceAccounts
}

// find returns the first that is there of our own annotation on the Pod, on the account, and the vendor's on each
// of them. An empty annotation is there, and says: none.
func (a annotations) find(own string, other vendor, policy string) value {
	places := []struct {
		where map[string]string
		key   string
	}{{a.pod, Prefix + own}, {a.account, Prefix + own}, {a.pod, other.key}, {a.account, other.key}}
	for n, place := range places {
		if n < 2 && own == "" || n == 2 && !other.pod {
			continue
		}
		if text, ok := place.where[place.key]; ok && place.key != "" {
			return value{text, place.key}
		}
	}
	return value{text: policy}
}

// filled is find for what there has to be something of: for none the policy speaks.
func (a annotations) filled(own string, other vendor, policy string) value {
	if v := a.find(own, other, policy); v.text != "" {
		return v
	}
	return value{text: policy}
}

func (a annotations) identity(p *Policy) *identity {
	i := &identity{
		role:     a.find("aws-role-arn", vendor{key: "eks.amazonaws.com/role-arn"}, ""),
		region:   a.find("aws-region", vendor{}, p.aws.region),
		regional: a.find("", vendor{key: "eks.amazonaws.com/sts-regional-endpoints"}, ""),
		account:  a.find("google-service-account", vendor{key: "iam.gke.io/gcp-service-account"}, ""),
		provider: a.find("google-audience", vendor{}, p.google.audience),
		quota:    a.find("", vendor{key: "iam.gke.io/credential-quota-project"}, ""),
		client:   a.find("azure-client-id", vendor{key: "azure.workload.identity/client-id"}, ""),
		tenant:   a.find("azure-tenant-id", vendor{key: "azure.workload.identity/tenant-id"}, p.azure.tenant),

		documentExpiration: a.filled("token-expiration", vendor{}, "3600"),
		document:           a.pod[Prefix+"config"] != "",
	}
	const azureExpiration = "azure.workload.identity/service-account-token-expiration"
	i.expiration = [...]value{
		aws:    a.filled("token-expiration", vendor{"eks.amazonaws.com/token-expiration", true}, p.aws.expiration),
		google: a.filled("token-expiration", vendor{}, p.google.expiration),
		entra:  a.filled("token-expiration", vendor{azureExpiration, true}, p.azure.expiration),
	}
	i.audience = [...]value{
		aws:    a.filled("aws-audience", vendor{key: "eks.amazonaws.com/audience"}, p.aws.audience),
		google: {text: i.googleTokenAudience(p)},
		entra:  {text: p.azure.audience},
	}
	if !i.document {
		i.on = [...]bool{
			aws:    i.role.text != "",
			google: i.account.text != "" || i.provider.key != "" && i.provider.text != "",
			entra:  i.client.text != "",
		}
	}
	return i
}

// googleTokenAudience is what a provider expects unless it lists others, which only the policy can know.
func (i *identity) googleTokenAudience(p *Policy) string {
	if p.google.tokenAudience != "" && i.provider.text == p.google.audience {
		return p.google.tokenAudience
	}
	if fleet, ok := strings.CutPrefix(i.provider.text, "identitynamespace:"); ok {
		pool, _, _ := strings.Cut(fleet, ":")
		return pool
	}
	return "https:" + i.provider.text
}

// clientRegion is where the AWS SDKs of applications are to work. The global STS says nothing of that.
func (i *identity) clientRegion() string {
	if i.region.text == "aws-global" {
		return ""
	}
	return i.region.text
}

// project is that of Google which applications work in, as far as it is known.
func (i *identity) project(p *Policy) string {
	_, domain, _ := strings.Cut(i.account.text, "@")
	project, ok := strings.CutSuffix(domain, ".iam.gserviceaccount.com")
	if !ok || strings.Contains(project, ".") {
		project = ""
	}
	return cmp.Or(p.google.project, project)
}
