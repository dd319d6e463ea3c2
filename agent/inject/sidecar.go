package inject

import (
	"cmp"
	"strconv"
)

// A sidecar is one of the containers that are added, in the words of Kubernetes.
type sidecar struct {
	Name                     string          `json:"name"`
	Image                    string          `json:"image"`
	ImagePullPolicy          string          `json:"imagePullPolicy,omitempty"`
	Args                     []string        `json:"args"`
	RestartPolicy            string          `json:"restartPolicy,omitempty"`
	Env                      []variable      `json:"env,omitempty"`
	StartupProbe             *probe          `json:"startupProbe,omitempty"`
	Lifecycle                *lifecycle      `json:"lifecycle,omitempty"`
	LivenessProbe            *probe          `json:"livenessProbe,omitempty"`
	Resources                resources       `json:"resources"`
	SecurityContext          securityContext `json:"securityContext"`
	TerminationMessagePolicy string          `json:"terminationMessagePolicy"`
	VolumeMounts             []volumeMount   `json:"volumeMounts"`
}

type probe struct {
	HTTPGet          httpGet `json:"httpGet"`
	PeriodSeconds    int     `json:"periodSeconds"`
	FailureThreshold int     `json:"failureThreshold"`
}

type httpGet struct {
	Path string `json:"path"`
	Port int    `json:"port"`
}

type lifecycle struct {
	PostStart struct {
		Exec struct {
			Command []string `json:"command"`
		} `json:"exec"`
	} `json:"postStart"`
}

// A securityContext satisfies the level restricted of the Pod Security Standards, unless it adds capabilities.
type securityContext struct {
	AllowPrivilegeEscalation bool         `json:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool         `json:"readOnlyRootFilesystem"`
	RunAsNonRoot             bool         `json:"runAsNonRoot"`
	RunAsUser                int          `json:"runAsUser"`
	RunAsGroup               int          `json:"runAsGroup"`
	Capabilities             capabilities `json:"capabilities"`
	SeccompProfile           seccomp      `json:"seccompProfile"`
}

type capabilities struct {
	Drop []string `json:"drop"`
	Add  []string `json:"add,omitempty"`
}

type seccomp struct {
	Type string `json:"type"`
}

const nobody = 65532 // the image's own user; said here, too, for the image may be another

// noAPIToken is mounted where Kubernetes would mount a token for its API, and so keeps that out: wisp has no use
// for it.
var noAPIToken = volumeMount{Name: emptyVolume, MountPath: apiTokenDir, ReadOnly: true}

// container is wisp itself.
func (i *injection) container() *sidecar {
	port := atoi(i.health)
	s := &sidecar{
		Name: sidecarName, Image: i.policy.image, ImagePullPolicy: i.policy.pullPolicy,
		Args:      []string{"run"},
		Env:       i.environment(),
		Resources: i.resources(),
		LivenessProbe: &probe{
			HTTPGet: httpGet{Path: "/livez", Port: port}, PeriodSeconds: 10, FailureThreshold: 6,
		},
		SecurityContext: securityContext{
			ReadOnlyRootFilesystem: true, RunAsNonRoot: true, RunAsUser: nobody, RunAsGroup: nobody,
			Capabilities: capabilities{Drop: []string{"ALL"}}, SeccompProfile: seccomp{"RuntimeDefault"},
		},
		TerminationMessagePolicy: "FallbackToLogsOnError",
		VolumeMounts: []volumeMount{
			{Name: tokenVolume, MountPath: tokenDir, ReadOnly: true}, {Name: runVolume, MountPath: runDir}, noAPIToken,
		},
	}
	if i.document {
		s.Args = append(s.Args, "--config", tokenDir+"/"+documentName)
	}
	if i.classic {
		// The kubelet starts the next container when the hook is through.
		s.Lifecycle = new(lifecycle)
		s.Lifecycle.PostStart.Exec.Command = []string{"/wisp", "wait", "--timeout", strconv.Itoa(i.policy.startupSeconds) + "s"}
		return s
	}
	s.RestartPolicy = "Always"
	s.StartupProbe = &probe{
		HTTPGet: httpGet{Path: "/startupz", Port: port}, PeriodSeconds: 1, FailureThreshold: i.policy.startupSeconds,
	}
	return s
}

// linkLocalContainer gives the Pod the link-local address, and ends.
func (i *injection) linkLocalContainer() *sidecar {
	return &sidecar{
		Name: linkLocalName, Image: i.policy.image, ImagePullPolicy: i.policy.pullPolicy,
		Args:      []string{"link-local"},
		Env:       addresses(), // by which it knows the node's network, and refuses
		Resources: i.resources(),
		SecurityContext: securityContext{
			ReadOnlyRootFilesystem: true,
			Capabilities:           capabilities{Drop: []string{"ALL"}, Add: []string{"NET_ADMIN"}},
			SeccompProfile:         seccomp{"RuntimeDefault"},
		},
		TerminationMessagePolicy: "FallbackToLogsOnError",
		VolumeMounts:             []volumeMount{noAPIToken},
	}
}

func (i *injection) resources() resources {
	r := i.policy.resources
	for name, quantity := range map[string]*string{
		"requests-cpu": &r.Requests.CPU, "requests-memory": &r.Requests.Memory,
		"limits-cpu": &r.Limits.CPU, "limits-memory": &r.Limits.Memory,
	} {
		*quantity = cmp.Or(i.setting("resources-"+name), *quantity)
	}
	return r
}

// addresses are those of the Pod and its node, which are one if the Pod is in the node's network.
func addresses() []variable {
	return []variable{field("WISP_POD_IP", "status.podIP"), field("WISP_HOST_IP", "status.hostIP")}
}

// environment is the sidecar's configuration: one variable per value, so that no document is put together out of
// what others have written.
func (i *injection) environment() []variable {
	list := addresses()
	add := func(name, value string) {
		if value != "" {
			list = append(list, variable{Name: name, Value: value})
		}
	}
	when := func(condition bool, value string) string {
		if condition {
			return value
		}
		return ""
	}
	add("WISP_SHARED", runDir)
	add("WISP_PORT", i.port)
	add("WISP_HEALTH_PORT", i.health)
	add("WISP_LOG_LEVEL", cmp.Or(i.setting("log-level"), i.policy.logLevel))
	add("WISP_OUTLETS", i.outletNames())
	add("WISP_LINK_LOCAL", when(i.linkLocal, "true"))
	add("WISP_DRAIN_MIN", when(i.classic, "5s"))
	if i.asks("appService") {
		list = append(list, field("IDENTITY_HEADER", podUID))
	}
	if i.on[aws] {
		add("AWS_ROLE_ARN", i.role.text)
		add("AWS_WEB_IDENTITY_TOKEN_FILE", tokenDir+"/"+clouds[aws].path)
		add("AWS_REGION", i.region.text)
		add("AWS_STS_REGIONAL_ENDPOINTS", when(i.regional.text == "false", "legacy"))
	}
	if i.on[google] {
		add("WISP_GOOGLE_AUDIENCE", i.provider.text)
		add("WISP_GOOGLE_TOKEN_FILE", tokenDir+"/"+clouds[google].path)
		add("WISP_GOOGLE_SERVICE_ACCOUNT", i.account.text)
		add("GOOGLE_CLOUD_QUOTA_PROJECT", i.quota.text)
		add("GOOGLE_CLOUD_PROJECT", i.policy.google.project)
	}
	if i.on[entra] {
		add("AZURE_CLIENT_ID", i.client.text)
		add("AZURE_TENANT_ID", i.tenant.text)
		add("AZURE_FEDERATED_TOKEN_FILE", tokenDir+"/"+clouds[entra].path)
		add("AZURE_AUTHORITY_HOST", i.policy.azure.authority)
	}
	return append(list, i.policy.env...)
}

// atoi reads a number that has been checked.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
