package agent_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/oauth2/google/externalaccount"

	"github.com/wisp-sidecar/wisp/agent"
)

// A document for each kind of source leads Google's library to the same account as wisp's own exchange; and
// wisp itself takes it for an identity.
func TestExternalAccount(t *testing.T) {
	w := newWorld(t)
	document := w.document(subjectIdentity+googleIdentity+entraIdentity, genericOutlets)
	w.run(w.agent(document, agent.Options{}))
	w.started()
	c, err := agent.Parse("config.yaml", document)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "url"} {
		text, err := c.ADC("google", agent.ADCOptions{From: name})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(w.dir, name+".json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var written struct {
			Audience         string                            `json:"audience"`
			SubjectTokenType string                            `json:"subject_token_type"`
			TokenURL         string                            `json:"token_url"`
			ImpersonationURL string                            `json:"service_account_impersonation_url"`
			Source           *externalaccount.CredentialSource `json:"credential_source"`
		}
		if err := json.Unmarshal(text, &written); err != nil {
			t.Fatal(err)
		}
		tokens, err := externalaccount.NewTokenSource(context.Background(), externalaccount.Config{
			Audience: written.Audience, SubjectTokenType: written.SubjectTokenType, TokenURL: written.TokenURL,
			ServiceAccountImpersonationURL: written.ImpersonationURL, CredentialSource: written.Source, Scopes: []string{platform},
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tokens.Token()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.secret(got.AccessToken)
		if principal, valid := w.google.Principal(got.AccessToken); !valid || principal != "serviceAccount:"+googleAccount {
			t.Errorf("%s: the library's token is that of %q, %v", name, principal, valid)
		}
		if _, err := agent.Parse("config.yaml", []byte("identities: [{name: google, externalAccount: {path: "+path+"}}]\nupstream: {allowInsecureLoopback: true}\n")); err != nil {
			t.Errorf("%s: wisp does not take it for an identity: %v", name, err)
		}
	}
}

func TestExternalAccountRefuses(t *testing.T) {
	w := newWorld(t)
	c, err := agent.Parse("config.yaml", w.document(awsIdentity+googleIdentity+subjectIdentity, ""))
	if err != nil {
		t.Fatal(err)
	}
	for identity, want := range map[string]string{
		"other":  `there is no identity "other"`,
		"aws":    `identity "aws" has the exchange aws; an external_account file is for google`,
		"itself": `identity "itself" has the exchange subject; an external_account file is for google`,
	} {
		if got, err := c.ADC(identity, agent.ADCOptions{From: "file"}); err == nil || err.Error() != want {
			t.Errorf("ADC(%s) = %s, %v, want %s", identity, got, err, want)
		}
	}
	const none = `url: there is no outlet subjectToken for identity "itself"`
	if got, err := c.ADC("google", agent.ADCOptions{From: "url", Subject: "itself"}); err == nil || err.Error() != none {
		t.Errorf("ADC without an outlet = %s, %v, want %s", got, err, none)
	}
}

func TestFormatOptions(t *testing.T) {
	c, err := agent.Load("testdata/config/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for identity, want := range map[string][2]string{
		"aws":           {"sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"}, // although it is asked by dual stack
		"aws-elsewhere": {"", ""},                                             // no region
		"google":        {"", ""},
		"other":         {"", ""},
	} {
		o := c.FormatOptions(identity)
		if got := [2]string{o.STSHost, o.STSRegion}; got != want {
			t.Errorf("FormatOptions(%s) = %q, want %q", identity, got, want)
		}
	}
}
