package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// A Pod is one that runs. It is safe for concurrent use.
type Pod struct {
	node    *Node
	object  *corev1.Pod
	network *network
	volumes map[string]*volume
	o       PodOptions

	mu         sync.Mutex
	containers map[string]*Container // guarded by mu; by name
	sidecars   []*Container          // guarded by mu; in the order of their starts
}

// PodOptions configure a [Pod].
type PodOptions struct {
	// Input is what containers with stdin are given. It ends if stdinOnce is set, too, else stays open.
	Input string
	// Listen is called before the first container with a function to listen in the Pod's network.
	Listen func(func(address string) (net.Listener, error)) error
}

// Start starts a Pod as the API server has it: its status must have podIP, an address of 127.0.0.0/8, and hostIP. It
// returns when all containers have started, which is when all init containers have ended and all startup probes
// and postStart hooks have succeeded. After an error nothing is left. The caller stops the Pod; ctx is for the start only, and for
// the Pod's tokens.
func (n *Node) Start(ctx context.Context, object *corev1.Pod, o PodOptions) (*Pod, error) {
	if err := n.prepare(); err != nil {
		return nil, err
	}
	p := &Pod{node: n, object: object, o: o, volumes: map[string]*volume{}, containers: map[string]*Container{}}
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("pod %s: %w", object.Name, err), p.Stop())
	}
	return p, nil
}

func (p *Pod) start(ctx context.Context) error {
	sysctls := map[string]string{}
	if of := p.object.Spec.SecurityContext; of != nil {
		for _, s := range of.Sysctls {
			sysctls[s.Name] = s.Value
		}
	}
	var err error
	if p.network, err = newNetwork(sysctls); err != nil {
		return err
	}
	if p.o.Listen != nil {
		if err := p.o.Listen(p.network.listen); err != nil {
			return err
		}
	}
	for _, v := range p.object.Spec.Volumes {
		if p.volumes[v.Name], err = p.node.volume(ctx, p.object, &v); err != nil {
			delete(p.volumes, v.Name)
			return err
		}
	}
	for _, c := range p.object.Spec.InitContainers {
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		started, err := p.startContainer(ctx, &c, sidecar)
		if err == nil && !sidecar {
			err = started.Wait(ctx)
		}
		if err != nil {
			return fmt.Errorf("init container %s: %w", c.Name, err)
		}
	}
	for _, c := range p.object.Spec.Containers {
		if _, err := p.startContainer(ctx, &c, false); err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
	}
	return nil
}

// startContainer returns when the startup probe and the postStart hook have succeeded.
func (p *Pod) startContainer(ctx context.Context, c *corev1.Container, sidecar bool) (*Container, error) {
	plan, err := p.plan(c)
	if err != nil {
		return nil, err
	}
	started, err := p.network.start(plan, p.input(c), c.Stdin && !c.StdinOnce)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.containers[c.Name] = started
	if sidecar {
		p.sidecars = append(p.sidecars, started)
	}
	p.mu.Unlock()
	if hook := c.Lifecycle; hook != nil && hook.PostStart != nil {
		if hook.PostStart.Exec == nil {
			return started, errors.New("a postStart hook can only be a command")
		}
		if out, err := p.Exec(ctx, c.Name, "", hook.PostStart.Exec.Command...); err != nil {
			return started, fmt.Errorf("postStart: %w\n%s\nthe container:\n%s", err, out, started.Output())
		}
	}
	if c.StartupProbe == nil {
		return started, nil
	}
	return started, p.probe(ctx, started, c.StartupProbe)
}

func (p *Pod) plan(c *corev1.Container) (plan, error) {
	dirs := map[string]string{}
	for name, v := range p.volumes {
		dirs[name] = v.dir
	}
	return p.node.plan(p.object, c, dirs)
}

func (p *Pod) input(c *corev1.Container) string {
	if c.Stdin {
		return p.o.Input
	}
	return ""
}

// probe asks until the answer is good. It asks more often than a kubelet, which does so once a second at most.
func (p *Pod) probe(ctx context.Context, c *Container, probe *corev1.Probe) error {
	get := probe.HTTPGet
	if get == nil {
		return errors.New("the startup probe can only be httpGet")
	}
	last := errors.New("not asked yet")
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		select {
		case <-c.ended:
			return false, fmt.Errorf("ended before its startup probe succeeded: %v", c.err)
		default:
		}
		var status int
		if status, last = p.Get(ctx, "http://"+net.JoinHostPort(p.object.Status.PodIP, get.Port.String())+get.Path); last == nil && status != http.StatusOK {
			last = fmt.Errorf("status %d", status)
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the startup probe: %w (%w)\n%s", err, last, c.Output())
	}
	return nil
}

// Get asks a URL from within the Pod's network, and returns the status.
func (p *Pod) Get(ctx context.Context, url string) (int, error) {
	transport := &http.Transport{DialContext: p.network.dial, DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// Container is one that has been started.
func (p *Pod) Container(name string) *Container {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.containers[name]
}

// Exec runs another program as a container of the Pod would: with its volumes, variables and user, in a root of its own. It
// returns the output; a status other than 0 is an error.
func (p *Pod) Exec(ctx context.Context, container, input string, args ...string) (string, error) {
	for _, c := range slices.Concat(p.object.Spec.InitContainers, p.object.Spec.Containers) {
		if c.Name != container {
			continue
		}
		plan, err := p.plan(&c)
		if err != nil {
			return "", err
		}
		plan.Args = args
		run, err := p.network.start(plan, input, false)
		if err != nil {
			return "", err
		}
		if err := run.Wait(ctx); err != nil {
			_ = run.command.Process.Kill()
			return "", err
		}
		return run.Output(), nil
	}
	return "", fmt.Errorf("there is no container %s", container)
}

// Rotate writes the files of a projected volume anew, with new tokens.
func (p *Pod) Rotate(volume string) error {
	v := p.volumes[volume]
	if v == nil || v.project == nil {
		return fmt.Errorf("there is no projected volume %s", volume)
	}
	return v.project()
}

// Stop ends the Pod as its deletion would: first all containers, then the sidecars, the last first. That one of them does not end
// in time is an error.
func (p *Pod) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed []error
	for name, c := range p.containers {
		if !slices.Contains(p.sidecars, c) {
			if err := c.stop(); err != nil {
				failed = append(failed, fmt.Errorf("container %s: %w", name, err))
			}
		}
	}
	for _, c := range slices.Backward(p.sidecars) {
		failed = append(failed, c.stop())
	}
	p.containers, p.sidecars = nil, nil
	for _, v := range p.volumes {
		failed = append(failed, v.remove())
	}
	p.volumes = nil
	if p.network != nil && p.network.namespace != nil {
		_ = p.network.namespace.Close() // twice is no harm
	}
	return errors.Join(append(failed, os.RemoveAll(filepath.Join(p.node.Dir, string(p.object.UID))))...)
}
