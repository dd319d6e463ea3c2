package agent

import (
	"fmt"
	"slices"
	"strings"
)

// A proof is how the environment lets the workload prove who it is.
type proof struct {
	source    sourceChoice
	variables []string // that say so
}

// A proposal is a proof that the environment makes possible.
type proposal struct {
	kind      string
	variables []string
	source    sourceOptions
}

const (
	githubURL      = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubToken    = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
	sourceVariable = "WISP_SOURCE"
	azureResource  = "WISP_AZURE_IMDS_RESOURCE"
)

// proof finds out how to prove the identity that target names: with the token in the file that a variable
// names, or as the job of GitHub Actions that this is. If both are possible, or neither, WISP_SOURCE
// has to say: file, githubActions, azureIMDS (with WISP_AZURE_IMDS_RESOURCE), gceMetadata or
// awsCallerIdentity. audience is for clouds that have no usual one.
func (d *detection) proof(target, fileVariable, audience string) (proof, bool) {
	proposals := d.proposals(fileVariable, audience)
	chosen := d.env.Get(sourceVariable)
	if chosen != "" {
		proposals = slices.DeleteFunc(append(proposals, d.platform(chosen, audience)...), func(p proposal) bool { return p.kind != chosen })
	}
	switch {
	case len(proposals) == 1:
		only := proposals[0]
		return proof{sourceOf(only.kind, only.source), only.variables}, true
	case len(proposals) > 1:
		var ways []string
		for _, p := range proposals {
			ways = append(ways, fmt.Sprintf("%s=%s (%s)", sourceVariable, p.kind, strings.Join(p.variables, ", ")))
		}
		d.problem("%s is set, and there are two ways to prove that identity: choose by %s", target, strings.Join(ways, " or "))
	case chosen == "":
		d.problem("%s is set, but not %s", target, fileVariable)
	case chosen == "file":
		d.problem("%s=file, but %s is not set", sourceVariable, fileVariable)
	case chosen == "githubActions":
		d.problem("%s=githubActions, but %s and %s are not both set: the job needs permissions: id-token: write", sourceVariable, githubURL, githubToken)
	default:
		d.problem("%s=%s is not one of file, githubActions, azureIMDS, gceMetadata, awsCallerIdentity", sourceVariable, chosen)
	}
	return proof{}, false
}

// proven reports whether the environment has any proof that does not belong to one cloud alone.
func (d *detection) proven() bool {
	return d.env.Get(sourceVariable) != "" || len(d.proposals("", "")) > 0
}

// proposals are what the environment implies.
func (d *detection) proposals(fileVariable, audience string) []proposal {
	var list []proposal
	if path := d.env.Get(fileVariable); fileVariable != "" && path != "" {
		list = append(list, proposal{"file", []string{fileVariable}, &fileSource{Path: path}})
	}
	if set, missing := d.split(githubURL, githubToken); len(missing) == 0 {
		list = append(list, proposal{"githubActions", set, &githubSource{Audience: audience}})
	}
	return list
}

// platform is what only WISP_SOURCE can ask for: there is nothing in the environment that gives it away.
func (d *detection) platform(kind, audience string) []proposal {
	variables := []string{sourceVariable}
	var source sourceOptions
	switch kind {
	case "azureIMDS":
		variables = append(variables, azureResource)
		source = &azureIMDSSource{Resource: d.env.Get(azureResource)}
	case "gceMetadata":
		source = &gceMetadataSource{Audience: audience}
	case "awsCallerIdentity":
		source = &awsCallerSource{}
	default:
		return nil
	}
	return []proposal{{kind, variables, source}}
}

// finding begins a Finding. usual is what people call the proof by a file.
func (p proof) finding(usual, cloud string, target ...string) Finding {
	name := usual
	if p.source.Kind != "file" {
		name = cloud + " by " + p.source.Kind
	}
	return Finding{
		Name: name,
		From: strings.Join(append(target, p.variables...), ", "),
		What: "token from " + describeSource(p.source),
	}
}

// of adds whom the proof is for.
func (f Finding) of(format string, args ...any) Finding {
	f.What = fmt.Sprintf(format, args...) + ", " + f.What
	return f
}

// describeSource says where a token comes from, for people.
func describeSource(s sourceChoice) string {
	switch o := s.Options.(type) {
	case *fileSource:
		return o.Path
	case *urlSource:
		return "a URL" // it may have a secret in its query
	case *executableSource:
		return "the program " + o.Command[0]
	}
	return s.Kind
}
