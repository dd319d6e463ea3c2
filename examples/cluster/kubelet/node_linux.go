package kubelet

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

// Node is a machine that runs Pods. Its fields are not changed while it does.
type Node struct {
	Client kubernetes.Interface // for tokens and ConfigMaps
	Dir    string               // an empty directory of the node's own
	Images map[string]Image     // by name
	// Hosts are addresses by host name, in /etc/hosts of each container.
	Hosts map[string]string
	// CA is what programs trust: certificates in PEM, where Go and OpenSSL look for them.
	CA string
}

// An Image is what is in one, besides what each container gets.
type Image struct {
	Files      map[string]string // a file or directory of this machine by the path of the image
	Entrypoint []string          // used if the container has no command
	UID, GID   int               // used if the Pod does not say
}

// plan is the plan of a container, with the volumes' directories by name.
func (n *Node) plan(pod *corev1.Pod, c *corev1.Container, volumes map[string]string) (plan, error) {
	image, known := n.Images[c.Image]
	if !known {
		return plan{}, fmt.Errorf("there is no image %q", c.Image)
	}
	p := plan{
		Root: filepath.Join(n.Dir, "root"), Args: slices.Concat(c.Command, c.Args), UID: image.UID, GID: image.GID,
		Files: map[string]string{"/etc/ssl/certs/ca-certificates.crt": n.CA, "/etc/hosts": n.hosts(pod)},
	}
	if c.Command == nil {
		p.Args = slices.Concat(image.Entrypoint, c.Args)
	}
	if len(p.Args) == 0 {
		return p, errors.New("there is nothing to run")
	}
	for _, path := range slices.Sorted(maps.Keys(image.Files)) {
		p.Binds = append(p.Binds, bind{Source: image.Files[path], Target: path, ReadOnly: true})
	}
	for _, m := range c.VolumeMounts {
		if m.SubPath != "" || m.SubPathExpr != "" || volumes[m.Name] == "" {
			return p, fmt.Errorf("the mount at %s is more than the fake kubelet can do", m.MountPath)
		}
		p.Binds = append(p.Binds, bind{Source: volumes[m.Name], Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	var err error
	if p.Env, err = environment(pod, c); err != nil {
		return p, err
	}
	return p, p.secure(pod, c)
}

// secure applies the security contexts.
func (p *plan) secure(pod *corev1.Pod, c *corev1.Container) error {
	of, own := pod.Spec.SecurityContext, c.SecurityContext
	if of == nil {
		of = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	for _, id := range []struct {
		own, of *int64
		to      *int
	}{{own.RunAsUser, of.RunAsUser, &p.UID}, {own.RunAsGroup, of.RunAsGroup, &p.GID}} {
		if id.of != nil {
			*id.to = int(*id.of)
		}
		if id.own != nil {
			*id.to = int(*id.own)
		}
	}
	nonRoot := of.RunAsNonRoot
	if own.RunAsNonRoot != nil {
		nonRoot = own.RunAsNonRoot
	}
	if is(nonRoot) && p.UID == 0 {
		return errors.New("runAsNonRoot, and the user is root")
	}
	for _, group := range of.SupplementalGroups {
		p.Groups = append(p.Groups, int(group))
	}
	if of.FSGroup != nil {
		p.Groups = append(p.Groups, int(*of.FSGroup))
	}
	p.ReadOnlyRoot = is(own.ReadOnlyRootFilesystem)
	p.NoNewPrivs = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	var err error
	p.Capabilities, err = capabilities(own.Capabilities)
	return err
}

func is(b *bool) bool { return b != nil && *b }

// hosts is /etc/hosts of a Pod's containers.
func (n *Node) hosts(pod *corev1.Pod) string {
	var text strings.Builder
	fmt.Fprintf(&text, "127.0.0.1 localhost\n%s %s\n", pod.Status.PodIP, pod.Name)
	for _, name := range slices.Sorted(maps.Keys(n.Hosts)) {
		fmt.Fprintf(&text, "%s %s\n", n.Hosts[name], name)
	}
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&text, "%s %s\n", alias.IP, strings.Join(alias.Hostnames, " "))
	}
	return text.String()
}

// prepare makes the directory where containers have their roots.
func (n *Node) prepare() error { return os.MkdirAll(filepath.Join(n.Dir, "root"), 0o755) }
