package kubelet

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// environment is that of a container's process.
func environment(pod *corev1.Pod, c *corev1.Container) ([]string, error) {
	if len(c.EnvFrom) > 0 {
		return nil, fmt.Errorf("container %s: envFrom is more than the fake kubelet can do", c.Name)
	}
	env := []string{"PATH=/", "HOSTNAME=" + pod.Name}
	for _, v := range c.Env {
		value := v.Value
		if from := v.ValueFrom; from != nil {
			if from.FieldRef == nil {
				return nil, fmt.Errorf("container %s, variable %s: only fields of the Pod can be referred to", c.Name, v.Name)
			}
			var err error
			if value, err = field(pod, from.FieldRef.FieldPath); err != nil {
				return nil, fmt.Errorf("container %s, variable %s: %w", c.Name, v.Name, err)
			}
		}
		env = slices.DeleteFunc(env, func(set string) bool { return strings.HasPrefix(set, v.Name+"=") })
		env = append(env, v.Name+"="+value)
	}
	return env, nil
}

// field is what a fieldPath of the downward API stands for.
func field(pod *corev1.Pod, path string) (string, error) {
	if of, key, found := strings.Cut(path, "['"); found {
		key, closed := strings.CutSuffix(key, "']")
		switch {
		case closed && of == "metadata.annotations":
			return pod.Annotations[key], nil
		case closed && of == "metadata.labels":
			return pod.Labels[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP":
		return pod.Status.PodIP, nil
	case "status.hostIP":
		return pod.Status.HostIP, nil
	}
	return "", fmt.Errorf("the field %s is not known", path)
}
