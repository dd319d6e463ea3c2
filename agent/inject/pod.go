package inject

import (
	"strconv"
	"strings"
)

// A pod is what has to be known of a Pod. Nothing of it is ever written.
type pod struct {
	labels, annotations map[string]string
	account             string // empty: default
	os                  string // empty: not said
	hostNetwork         bool
	containers          []container // all: the init containers first, then the others
	volumes             []string    // names
	pullSecrets         []string    // names
	aliases             []string    // addresses
	sysctls             []variable
	has                 presence
}

// presence says which lists and objects of the Pod are there to be added to.
type presence struct {
	initContainers, volumes, pullSecrets, aliases, securityContext, sysctls bool
}

// A container of the Pod, in either list.
type container struct {
	name              string
	init              bool
	path              string // JSON Pointer
	env               []variable
	mounts            []volumeMount
	hasEnv, hasMounts bool
}

// readPod reads a Pod, or a Pod template: they have the same metadata and spec.
func readPod(text []byte) (*pod, error) {
	root, err := read(text)
	if err != nil {
		return nil, err
	}
	metadata, spec := root.object("metadata"), root.object("spec")
	context := spec.object("securityContext")
	p := &pod{
		labels:      metadata.texts("labels"),
		annotations: metadata.texts("annotations"),
		account:     spec.text("serviceAccountName"),
		os:          spec.object("os").text("name"),
		hostNetwork: spec.flag("hostNetwork"),
		volumes:     spec.names("volumes", "name"),
		pullSecrets: spec.names("imagePullSecrets", "name"),
		aliases:     spec.names("hostAliases", "ip"),
		has: presence{
			initContainers: spec.has("initContainers"), volumes: spec.has("volumes"),
			pullSecrets: spec.has("imagePullSecrets"), aliases: spec.has("hostAliases"),
			securityContext: spec.has("securityContext"), sysctls: context.has("sysctls"),
		},
	}
	for _, sysctl := range context.each("sysctls") {
		p.sysctls = append(p.sysctls, variable{Name: sysctl.text("name"), Value: sysctl.text("value")})
	}
	for _, list := range []string{"initContainers", "containers"} {
		for i, c := range spec.each(list) {
			p.containers = append(p.containers, readContainer(c, list == "initContainers", "/spec/"+list+"/"+strconv.Itoa(i)))
		}
	}
	if !spec.has("containers") {
		root.report("spec.containers", "is missing")
	}
	return p, root.document.err()
}

func readContainer(n node, init bool, path string) container {
	c := container{name: n.text("name"), init: init, path: path, hasEnv: n.has("env"), hasMounts: n.has("volumeMounts")}
	for _, e := range n.each("env") {
		v := variable{Name: e.text("name"), Value: e.text("value")}
		if from := e.object("valueFrom"); from.members != nil {
			v.ValueFrom = &source{FieldRef: fieldRef{FieldPath: from.object("fieldRef").text("fieldPath")}}
		}
		c.env = append(c.env, v)
	}
	for _, m := range n.each("volumeMounts") {
		c.mounts = append(c.mounts, volumeMount{Name: m.text("name"), MountPath: m.text("mountPath")})
	}
	return c
}

// variables are those of the container that have this name. There can be several, of which the last one counts.
func (c *container) variables(name string) []variable {
	var list []variable
	for _, v := range c.env {
		if v.Name == name {
			list = append(list, v)
		}
	}
	return list
}

// has reports whether the container has a variable of this name, whatever its value.
func (c *container) has(name string) bool { return len(c.variables(name)) > 0 }

// mounted returns the name of the volume that the container mounts at path, empty if there is none. A slash at
// the end makes no difference to the kubelet.
func (c *container) mounted(path string) string {
	for _, m := range c.mounts {
		if strings.TrimSuffix(m.MountPath, "/") == path {
			return m.Name
		}
	}
	return ""
}
