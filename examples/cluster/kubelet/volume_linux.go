package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// A volume is a directory of the machine, and for a projected one what keeps its files.
type volume struct {
	dir     string
	project func() error // writes the files anew; nil if the volume is not projected
}

// volume makes one of the Pod's, in memory.
func (n *Node) volume(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (*volume, error) {
	made := &volume{dir: filepath.Join(n.Dir, string(pod.UID), v.Name)}
	size := ""
	switch {
	case v.EmptyDir != nil:
		if limit := v.EmptyDir.SizeLimit; limit != nil {
			size = fmt.Sprintf(",size=%d", limit.Value())
		}
	case v.Projected != nil:
		project, err := n.projection(ctx, pod, v.Projected, made.dir)
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.Name, err)
		}
		made.project = project
	default:
		return nil, fmt.Errorf("volume %s is of a kind that the fake kubelet does not know", v.Name)
	}
	if err := os.MkdirAll(made.dir, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount(v.Name, made.dir, "tmpfs", 0, "mode=0777"+size); err != nil {
		return nil, fmt.Errorf("volume %s: %w", v.Name, err)
	}
	if made.project != nil {
		return made, made.project()
	}
	return made, nil
}

func (v *volume) remove() error { return unix.Unmount(v.dir, unix.MNT_DETACH) }

// projection returns what writes the files of a projected volume to dir.
func (n *Node) projection(ctx context.Context, pod *corev1.Pod, from *corev1.ProjectedVolumeSource, dir string) (func() error, error) {
	content := map[string]func() (string, error){}
	o := cloudtest.KubeletOptions{Dir: dir}
	add := func(path string, lifetime time.Duration, f func() (string, error)) {
		content[path] = f
		o.Tokens = append(o.Tokens, cloudtest.ProjectedToken{Path: path, Lifetime: lifetime})
	}
	for _, source := range from.Sources {
		switch {
		case source.ServiceAccountToken != nil:
			wanted := source.ServiceAccountToken
			add(wanted.Path, time.Duration(*wanted.ExpirationSeconds)*time.Second, func() (string, error) { return n.token(ctx, pod, wanted) })
		case source.DownwardAPI != nil:
			for _, item := range source.DownwardAPI.Items {
				if item.FieldRef == nil {
					return nil, errors.New("only fields of the Pod can be projected")
				}
				add(item.Path, 0, func() (string, error) { return field(pod, item.FieldRef.FieldPath) })
			}
		case source.ConfigMap != nil:
			given, err := n.Client.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, source.ConfigMap.Name, metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			for _, item := range source.ConfigMap.Items {
				add(item.Path, 0, func() (string, error) { return given.Data[item.Key], nil })
			}
		default:
			return nil, errors.New("a source is of a kind that the fake kubelet does not know")
		}
	}
	var failed error // of the one who writes: project is not called twice at once
	o.Mint = func(p cloudtest.ProjectedToken) string {
		text, err := content[p.Path]()
		failed = errors.Join(failed, err)
		return text
	}
	own(&o, pod)
	writer, err := cloudtest.NewKubelet(o)
	if err != nil {
		return nil, err
	}
	return func() error {
		failed = nil
		return errors.Join(writer.Rotate(), failed)
	}, nil
}

// own gives files the modes and owners that a kubelet gives them, by the users of the Pod.
func own(o *cloudtest.KubeletOptions, pod *corev1.Pod) {
	users := map[int64]bool{}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		user := int64(-1)
		if of := pod.Spec.SecurityContext; of != nil && of.RunAsUser != nil {
			user = *of.RunAsUser
		}
		if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
			user = *c.SecurityContext.RunAsUser
		}
		users[user] = true
	}
	var only *int64
	if len(users) == 1 && !users[-1] {
		for user := range users {
			only = &user
		}
	}
	var group *int64
	if of := pod.Spec.SecurityContext; of != nil {
		group = of.FSGroup
	}
	owner := &cloudtest.Owner{}
	if only != nil {
		o.Mode, o.Owner, owner.UID = 0o600, owner, int(*only)
	}
	if group != nil {
		o.Mode, o.Owner, owner.GID = 0o640, owner, int(*group)
		o.DirMode, o.RootMode = 0o755|fs.ModeSetgid, 0o777|fs.ModeSetgid|fs.ModeSticky
	}
}

// token asks the API server for a token that is bound to the Pod.
func (n *Node) token(ctx context.Context, pod *corev1.Pod, wanted *corev1.ServiceAccountTokenProjection) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: wanted.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if wanted.Audience != "" {
		request.Spec.Audiences = []string{wanted.Audience}
	}
	given, err := n.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return given.Status.Token, nil
}
