package inject

import "slices"

// A patch collects operations.
type patch []Operation

func (p *patch) replace(path string, value any) { *p = append(*p, Operation{"replace", path, value}) }

func (p *patch) put(path string, value any) { *p = append(*p, Operation{"add", path, value}) }

// add appends to the list at path, or makes it if it is not there.
func (p *patch) add(path string, there bool, values ...any) {
	switch {
	case len(values) == 0:
	case !there:
		p.put(path, values)
	default:
		for _, value := range values {
			p.put(path+"/-", value)
		}
	}
}

// patch is all that the Pod lacks.
func (i *injection) patch() []Operation {
	var p patch
	if !i.injected {
		p.add("/spec/volumes", i.pod.has.volumes, i.volumes()...)
		var secrets []any
		for _, name := range i.policy.pullSecrets {
			if !slices.Contains(i.pod.pullSecrets, name) {
				secrets = append(secrets, named{name})
			}
		}
		p.add("/spec/imagePullSecrets", i.pod.has.pullSecrets, secrets...)
		if i.linkLocal {
			p.network(i)
		}
	}
	for _, c := range i.served {
		p.serve(i, c)
	}
	if i.injected {
		return p
	}
	// Last, for it moves the containers whose places the operations above name. And first in the list, as the
	// kubelet starts init containers in order, and each waits for the sidecars before it.
	switch {
	case i.classic:
		p.put("/spec/containers/0", i.container())
	case !i.pod.has.initContainers:
		list := []any{i.container()}
		if i.linkLocal {
			list = []any{i.linkLocalContainer(), list[0]}
		}
		p.put("/spec/initContainers", list)
	default:
		p.put("/spec/initContainers/0", i.container())
		if i.linkLocal {
			p.put("/spec/initContainers/0", i.linkLocalContainer())
		}
	}
	return p
}

type named struct {
	Name string `json:"name"`
}

// What link-local mode needs of the Pod: that wisp may listen on port 80, and Google's names for the address
// where it listens.
const (
	firstPort    = "net.ipv4.ip_unprivileged_port_start"
	metadataHost = "169.254.169.254"
)

func (p *patch) network(i *injection) {
	sysctl := variable{Name: firstPort, Value: "80"}
	switch {
	case slices.ContainsFunc(i.pod.sysctls, func(s variable) bool { return s.Name == firstPort }):
	case i.pod.has.securityContext:
		p.add("/spec/securityContext/sysctls", i.pod.has.sysctls, sysctl)
	default:
		p.put("/spec/securityContext", struct {
			Sysctls []variable `json:"sysctls"`
		}{[]variable{sysctl}})
	}
	if i.on[google] && !slices.Contains(i.pod.aliases, metadataHost) {
		p.add("/spec/hostAliases", i.pod.has.aliases, hostAlias{metadataHost, []string{"metadata.google.internal", "metadata"}})
	}
}

type hostAlias struct {
	IP        string   `json:"ip"`
	Hostnames []string `json:"hostnames"`
}
