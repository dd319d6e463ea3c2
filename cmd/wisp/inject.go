package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

func newInject() *cobra.Command {
	var files []string
	var policyFile string
	command := &cobra.Command{
		Use:   "inject -f FILE...",
		Short: "Put wisp into the Pods of Kubernetes manifests",
		Long: `inject does by hand what the admission webhook does in a cluster: it prints the documents of all files, with wisp
added to every Pod and Pod template that has the label wisp-sidecar.github.io/inject: "true". Who a Pod is comes from its
annotations and from those of its ServiceAccount, if that is among the documents; so do the labels of its Namespace.

  wisp inject -f app.yaml --image wisp:dev --region eu-west-1 | kubectl apply -f -

Documents without such a Pod are printed byte for byte. If one cannot be injected, nothing is printed. The policy
is what a cluster's Pods have in common: the values of the chart, with an image that is one string.`,
		Args: cobra.NoArgs,
	}
	flags := command.Flags()
	flags.StringArrayVarP(&files, "file", "f", nil, "manifest, YAML or JSON; - is standard input; repeatable")
	flags.StringVar(&policyFile, "policy", "", "file with the policy, YAML or JSON")
	settings := []*policySetting{
		{path: []string{"image"}}, {path: []string{"aws", "region"}}, {path: []string{"google", "audience"}},
		{path: []string{"azure", "tenantId"}}, {path: []string{"sidecar"}},
	}
	for n, flag := range [][2]string{
		{"image", "image of wisp"}, {"region", "AWS region of Pods that name none"},
		{"google-audience", "workload identity provider of Google for Pods that name none"},
		{"azure-tenant-id", "Entra tenant of Pods that name none"},
		{"sidecar", "native, or classic for clusters without native sidecars (default native)"},
	} {
		flags.StringVar(&settings[n].value, flag[0], "", flag[1]+"; comes before the policy's")
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		policy, err := readPolicy(policyFile, settings)
		if err == nil && len(files) == 0 {
			err = errors.New("a manifest is missing: -f FILE")
		}
		var m manifests
		for _, file := range files {
			if err == nil {
				err = m.read(file, command.InOrStdin())
			}
		}
		if err != nil {
			return &usageError{fmt.Errorf("wisp inject: %w", err)}
		}
		warnings, problems := m.inject(policy)
		for _, warning := range warnings {
			fmt.Fprintln(command.ErrOrStderr(), "warning:", printable(warning))
		}
		if len(problems) > 0 {
			return &usageError{errors.New(printable(strings.Join(problems, "\n")))}
		}
		return m.print(command.OutOrStdout())
	}
	return command
}

// printable keeps what others have written from doing things to a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// A policySetting is a flag that stands for a member of the policy.
type policySetting struct {
	path  []string
	value string // empty: the flag is not there
}

// readPolicy reads the file, if there is one, and puts the flags over it.
func readPolicy(file string, settings []*policySetting) (*inject.Policy, error) {
	var document map[string]any
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := yaml.Unmarshal(text, &document); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if document == nil { // no file, or one that says null
		document = map[string]any{}
	}
	for _, s := range settings {
		if s.value == "" {
			continue
		}
		in := document
		if len(s.path) > 1 {
			below, _ := document[s.path[0]].(map[string]any)
			if below == nil {
				below = map[string]any{}
			}
			in[s.path[0]], in = below, below
		}
		in[s.path[len(s.path)-1]] = s.value
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	policy, err := inject.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("the policy: %w", err)
	}
	return policy, nil
}

// manifests are the documents of all files.
type manifests struct {
	documents []*manifest
}

func (m *manifests) read(file string, stdin io.Reader) error {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return err
	}
	for n, segment := range split(text) {
		d, err := parseManifest(segment)
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", file, n+1, err)
		}
		d.file, d.first = file, n == 0
		m.documents = append(m.documents, d)
	}
	return nil
}

// inject puts wisp into all Pods that ask for it. Each warning and problem says whose it is.
func (m *manifests) inject(policy *inject.Policy) (warnings, problems []string) {
	accounts, namespaces := map[[2]string]map[string]string{}, map[string]map[string]string{}
	for _, d := range m.documents {
		for _, o := range d.objects() {
			metadata := lookup(o, "metadata")
			switch name := scalar(metadata, "name"); scalar(o, "kind") {
			case "ServiceAccount":
				accounts[[2]string{scalar(metadata, "namespace"), name}] = scalars(lookup(metadata, "annotations"))
			case "Namespace":
				namespaces[name] = scalars(lookup(metadata, "labels"))
			}
		}
	}
	for _, d := range m.documents {
		if d.root != nil && refers(d.root) && slices.ContainsFunc(d.objects(), asks) {
			budget := maxNodes
			root, err := dereference(d.root, &budget)
			if err != nil {
				problems = append(problems, d.file+": "+err.Error())
				continue
			}
			d.root = root
		}
		for _, o := range d.objects() {
			pod := podIn(o)
			if !asks(o) {
				continue
			}
			metadata := lookup(o, "metadata")
			name := scalar(metadata, "name")
			if name == "" {
				name = scalar(metadata, "generateName")
			}
			whose := d.file + ": " + scalar(o, "kind") + " " + name + ": "
			spec := lookup(pod, "spec")
			// The second is the field's old name, which the API server still takes.
			account := cmp.Or(scalar(spec, "serviceAccountName"), scalar(spec, "serviceAccount"), "default")
			namespace := scalar(metadata, "namespace")
			result, err := d.inject(policy, pod, inject.Request{
				Account:         inject.Account{Name: account, Annotations: accounts[[2]string{namespace, account}]},
				NamespaceLabels: namespaces[namespace],
			})
			if err != nil {
				problems = append(problems, whose+err.Error())
				continue
			}
			for _, warning := range result.Warnings {
				warnings = append(warnings, whose+warning)
			}
		}
	}
	return warnings, problems
}

// asks reports whether an object has a Pod that is to be injected.
func asks(object *yaml.Node) bool {
	return scalar(lookup(lookup(podIn(object), "metadata"), "labels"), inject.Label) == "true"
}

// print prints all documents, those of different files apart.
func (m *manifests) print(w io.Writer) error {
	var all []byte
	for _, d := range m.documents {
		text, err := d.print()
		if err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
		if len(all) > 0 && d.first && !strings.HasPrefix(string(text), "---") {
			text = slices.Concat([]byte("---\n"), text)
		}
		if len(all) > 0 && all[len(all)-1] != '\n' {
			all = append(all, '\n')
		}
		all = append(all, text...)
	}
	_, err := w.Write(all)
	return err
}
