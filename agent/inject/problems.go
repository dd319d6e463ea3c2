package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// permit is the remedy for those who know better.
const permit = ", or permit it with " + Prefix + `allow-bypass: "true"`

// problems are all the reasons not to inject, in the order in which the chart's policy lists them.
func (i *injection) problems() []string {
	var list problems
	if !i.injected {
		// A Pod that is injected already can come from another policy. What it is made of is settled.
		if i.pod.os == "windows" {
			list.add("wisp runs on Linux, and spec.os.name is windows")
		}
		i.checkKeys(&list)
		i.checkValues(&list)
		i.checkIdentity(&list)
		i.checkNetwork(&list)
		i.checkNames(&list)
	}
	for _, c := range i.served {
		if volume := c.mounted(runDir); volume != "" && volume != runVolume {
			list.add("container %s has a mount of its own at %s", c.name, runDir)
		}
	}
	if i.setting("allow-bypass") != "true" {
		i.bypasses(func(c *container, of cloud) {
			list.add("container %s has %s, %s%s", c.name, clouds[of].bypass, clouds[of].remedy, permit)
		})
	}
	return list
}

type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// value adds a problem if the value of an annotation is there and has not that form.
func (p *problems) value(key, text string, f form) {
	if text != "" && !f.fits(text) {
		p.add("annotation %s is '%s', want %s", key, shown(text), f.want)
	}
}

// shown is text in a sentence, which is one line: somebody else has written it, and it may be long.
func shown(text string) string {
	text = strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
	n := 0
	for at := range text {
		if n++; n > 100 {
			return text[:at] + "…"
		}
	}
	return text
}

func (i *injection) checkKeys(list *problems) {
	for _, key := range slices.Sorted(maps.Keys(i.pod.annotations)) {
		name, ours := strings.CutPrefix(key, Prefix)
		if ours && !slices.Contains(settings, name) && !slices.Contains(identities, name) {
			list.add("annotation %s is not known", key)
		}
	}
}

// checkValues judges the values that are used; nobody minds what a cloud that is off would have got.
func (i *injection) checkValues(list *problems) {
	known := make([]string, len(outlets))
	for n, o := range outlets {
		known[n] = o.name
	}
	last := len(known) - 1
	for _, entry := range i.unknown {
		list.add("annotation %soutlets is '%s', want %s or %s", Prefix, shown(entry), strings.Join(known[:last], ", "), known[last])
	}
	for _, key := range []string{Prefix + "skip-containers", azureSkipContainers} {
		if names := i.pod.annotations[key]; short(names) != names {
			list.add("annotation %s is '%s', want names of containers", key, shown(names))
		}
	}
	for _, setting := range []struct {
		name string
		form form
	}{
		{"log-level", logLevelForm}, {"port", portForm}, {"health-port", portForm},
		{"resources-requests-cpu", quantityForm}, {"resources-requests-memory", quantityForm},
		{"resources-limits-cpu", quantityForm}, {"resources-limits-memory", quantityForm},
		{"link-local", boolForm}, {"allow-bypass", boolForm},
	} {
		list.value(Prefix+setting.name, i.setting(setting.name), setting.form)
	}
	for _, entry := range bounded(i.setting("tokens"), maxNames) {
		list.value(Prefix+"tokens", entry, tokenForm)
	}
	type check struct {
		on   bool
		of   value
		form form
	}
	// With a document, too, applications are told the region, the account's project and the client.
	checks := []check{
		{i.on[aws], i.role, roleForm}, {i.on[aws] || i.document, i.region, regionForm}, {i.on[aws], i.audience[aws], audienceForm}, {i.on[aws], i.regional, boolForm},
		{i.on[google], i.provider, providerForm}, {i.on[google] || i.document, i.account, accountForm}, {i.on[google], i.quota, projectForm},
		{i.on[entra] || i.document, i.client, clientForm}, {i.on[entra], i.tenant, tenantForm},
	}
	seen := map[string]bool{}
	for n := range clouds {
		if key := i.expiration[n].key; i.on[n] && !seen[key] {
			seen[key] = true
			checks = append(checks, check{true, i.expiration[n], expirationForm})
		}
	}
	checks = append(checks, check{i.document, i.documentExpiration, expirationForm})
	for _, c := range checks {
		if c.on && c.of.key != "" { // what is the policy's has been checked
			list.value(c.of.key, c.of.text, c.form)
		}
	}
	if i.setting("tokens") != "" && !i.document {
		list.add("annotation %stokens has no meaning without %[1]sconfig", Prefix)
	}
	if i.port == i.health {
		list.add("port and health port are both %s", shown(i.port))
	}
}

func (i *injection) checkIdentity(list *problems) {
	if i.document {
		return
	}
	if i.on == [len(clouds)]bool{} {
		list.add("neither the ServiceAccount %s nor the Pod says who it is: annotate one of them with eks.amazonaws.com/role-arn, "+
			"iam.gke.io/gcp-service-account or azure.workload.identity/client-id (ServiceAccount only), "+
			"or %saws-role-arn, google-service-account or azure-client-id", i.accountName, Prefix)
	}
	for _, lack := range []struct {
		of             cloud
		value          value
		what, property string
		annotation     string
	}{
		{aws, i.region, "AWS region", "aws.region", Prefix + "aws-region"},
		{google, i.provider, "Google provider", "google.audience", Prefix + "google-audience"},
		{entra, i.tenant, "Entra tenant", "azure.tenantId", "azure.workload.identity/tenant-id"},
	} {
		if i.on[lack.of] && lack.value.text == "" {
			list.add("the %s is not known: set %s in the chart's values or the annotation %s", lack.what, lack.property, lack.annotation)
		}
	}
	for _, o := range i.outlets {
		if !i.on[o.cloud] {
			list.add("the outlet %s needs an identity of %s", o.name, clouds[o.cloud].name)
		}
	}
}

func (i *injection) checkNetwork(list *problems) {
	if open := i.open(); i.pod.hostNetwork && len(open) > 0 {
		list.add("with hostNetwork everything on the node could use %s, which need no secret: name others in the annotation %soutlets",
			strings.Join(open, ", "), Prefix)
	}
	if !i.linkLocal {
		return
	}
	if !i.policy.linkLocal {
		list.add("link-local mode is off in this cluster: set linkLocal: true in the chart's values")
	}
	if i.pod.hostNetwork {
		list.add("link-local mode would change the node's network: it does not go with hostNetwork")
	}
	const enforce = "pod-security.kubernetes.io/enforce"
	if level := i.namespace[enforce]; level == "baseline" || level == "restricted" {
		list.add("link-local mode needs NET_ADMIN in an init container, which this namespace forbids: label it %s: privileged", enforce)
	}
	for _, s := range i.pod.sysctls {
		if s.Name != firstPort {
			continue
		}
		if !sysctlForm.fits(s.Value) || atoi(s.Value) > 80 {
			list.add("the Pod's sysctl %s is '%s', and link-local mode needs 80 or less", firstPort, shown(s.Value))
		}
	}
	if i.classic {
		list.add("link-local mode needs native sidecars")
	}
}

func (i *injection) checkNames(list *problems) {
	for _, name := range []string{runVolume, tokenVolume, emptyVolume} {
		if slices.Contains(i.pod.volumes, name) {
			list.add("the Pod has a volume %s of its own", name)
		}
	}
	for _, name := range []string{sidecarName, linkLocalName} {
		if slices.ContainsFunc(i.pod.containers, func(c container) bool { return c.name == name }) {
			list.add("the Pod has a container %s of its own", name)
		}
	}
}

// bypasses calls found for each variable with which a container's clients would do without wisp. With a document
// that is the document's business.
func (i *injection) bypasses(found func(*container, cloud)) {
	if i.document {
		return
	}
	for _, c := range i.served {
		for of := range cloud(len(clouds)) {
			if i.leads(c, of) && (i.injected || i.on[of]) && c.has(clouds[of].bypass) {
				found(c, of)
			}
		}
	}
}
