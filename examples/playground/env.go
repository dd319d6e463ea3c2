package main

import (
	"fmt"

	"github.com/wisp-sidecar/wisp/agent"
)

// environment is what a shell needs that sources env.sh: what wisp itself says that leads to its outlets, as
// wisp env prints it, and what only a playground needs.
func environment(c *agent.Config, dir directory, at *listeners) (*agent.ClientEnvironment, error) {
	e, err := c.ClientEnvironment(agent.ClientEnvironmentOptions{})
	if err != nil {
		return nil, err
	}
	e.Sections = append(e.Sections, fakes(dir, at), commands(dir))
	e.Sections = append(e.Sections, nameless(dir, at)...)
	return e, nil
}

// fakes lead clients to the clouds of the playground, and away from what somebody has set up for real ones.
func fakes(dir directory, at *listeners) agent.Section {
	return agent.Section{
		Title: "the playground's AWS, and nobody's own settings: with real clouds none of this is needed",
		Set: []agent.Variable{
			{Name: "AWS_ENDPOINT_URL_STS", Value: at.url(atAWS)},
			{Name: "AWS_CONFIG_FILE", Value: dir.file("aws/config")},
			{Name: "AWS_SHARED_CREDENTIALS_FILE", Value: dir.file("aws/credentials")},
			{Name: "CLOUDSDK_CONFIG", Value: dir.file("gcloud")}, // a stored account, or a stored "not on GCE", comes first
			{Name: "AZURE_CONFIG_DIR", Value: dir.file("azure")},
		},
		Unset: []string{
			"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
			"GOOGLE_CLOUD_QUOTA_PROJECT", "CLOUDSDK_ACTIVE_CONFIG_NAME", "CLOUDSDK_CORE_PROJECT",
			"AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST",
		},
	}
}

// commands lead wisp's own to the playground's wisp, by its configuration, which names the admin socket.
// WISP_ADMIN_SOCKET would do that, too, but would also be where a second wisp wants to have its own.
func commands(dir directory) agent.Section {
	s := agent.Section{
		Title: "wisp's own commands: wisp status, wisp get aws, wisp env, wisp executable google-subject",
		Set:   []agent.Variable{{Name: "WISP_CONFIG", Value: dir.file(configFile)}},
		Unset: []string{"WISP_ADMIN_SOCKET"},
	}
	if socket := dir.socket(); socket != "" {
		s.Set = append(s.Set, agent.Variable{Name: "PLAYGROUND_ADMIN_SOCKET", Value: socket})
	}
	return s
}

// nameless are the outlets for which clients have no variable, or look at the same one as for another.
func nameless(dir directory, at *listeners) []agent.Section {
	outlets := at.url(atOutlets)
	return []agent.Section{
		{
			Title: "subjectToken: ask with \"Authorization: Bearer SECRET\"; with GOOGLE_APPLICATION_CREDENTIALS=$PLAYGROUND_ADC libraries do",
			Set: []agent.Variable{
				{Name: "PLAYGROUND_SUBJECT_TOKEN_URL", Value: outlets + subjectPath},
				{Name: "PLAYGROUND_SUBJECT_TOKEN_SECRET_FILE", Value: dir.file(subjectSecret)},
				{Name: "PLAYGROUND_ADC", Value: dir.file(adcFile)},
			},
		},
		{
			Title: "bearer: $PLAYGROUND_BEARER_URL/google and $PLAYGROUND_BEARER_URL/azure, with \"Authorization: Bearer SECRET\"",
			Set: []agent.Variable{
				{Name: "PLAYGROUND_BEARER_URL", Value: outlets + "/token"},
				{Name: "PLAYGROUND_BEARER_SECRET_FILE", Value: dir.file(bearerSecret)},
			},
		},
		{
			Title: "appService in the form of Azure Cloud Shell: what MSI_ENDPOINT is there, without MSI_SECRET and IDENTITY_*",
			Set:   []agent.Variable{{Name: "PLAYGROUND_CLOUD_SHELL_ENDPOINT", Value: outlets + cloudShellPath}},
		},
		{
			Title: "the second identities of awsContainer, gceMetadata, and azureIMDS and appService",
			Set: []agent.Variable{
				{Name: "PLAYGROUND_ARCHIVE_AWS_URI", Value: outlets + "/aws/aws-archive"},
				{Name: "PLAYGROUND_ARCHIVE_GOOGLE_ACCOUNT", Value: googleArchive},
				{Name: "PLAYGROUND_ARCHIVE_AZURE_CLIENT_ID", Value: entraArchive},
			},
		},
		{
			Title: "files: for AWS_SHARED_CREDENTIALS_FILE, docker run --env-file, AWS_WEB_IDENTITY_TOKEN_FILE with\n" +
				"# AWS_ROLE_ARN, CLOUDSDK_AUTH_ACCESS_TOKEN_FILE, and a script that reads JSON",
			Set: []agent.Variable{
				{Name: "PLAYGROUND_AWS_CREDENTIALS_FILE", Value: dir.file(awsOut)},
				{Name: "PLAYGROUND_AWS_ENV_FILE", Value: dir.file(awsEnvOut)},
				{Name: "PLAYGROUND_WEB_IDENTITY_TOKEN_FILE", Value: dir.file(awsTokenOut)},
				{Name: "PLAYGROUND_AWS_ROLE_ARN", Value: awsRole},
				{Name: "PLAYGROUND_GCLOUD_TOKEN_FILE", Value: dir.file(gcloudOut)},
				{Name: "PLAYGROUND_GOOGLE_TOKEN_FILE", Value: dir.file(googleOut)},
			},
		},
	}
}

// script is env.sh: for any POSIX shell, with set -eu, too.
func script(e *agent.ClientEnvironment) ([]byte, error) {
	text, err := e.Encode("sh")
	return fmt.Appendf(nil, "# Points the AWS, Google Cloud and Azure clients of a shell at wisp's playground: source this file.\n"+
		"# Google's library for Go reads ~/.config/gcloud/application_default_credentials.json first if there is one.\n%s", text), err
}

// values are the variables by name.
func values(e *agent.ClientEnvironment) map[string]string {
	all := map[string]string{}
	for _, s := range e.Sections {
		for _, v := range s.Set {
			all[v.Name] = v.Value
		}
	}
	return all
}
