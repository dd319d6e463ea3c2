package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// What the admin socket says of a real agent, and that asking there costs no exchange.
func TestAdminSocket(t *testing.T) {
	w := newWorld(t)
	socket := filepath.Join(w.dir, "admin.sock")
	document := string(w.document(awsIdentity+googleIdentity, oneFileOf("aws"))) + "\nadmin: {socket: \"" + socket + "\"}\n"
	c, err := agent.Parse("config.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	_, ended := w.run(w.agent([]byte(document), agent.Options{}))
	client := admin.NewClient(socket)
	s, err := client.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Identities) != 2 || s.Identities[0].State != "fresh" || s.Identities[0].ExpiresIn <= 3000 || !s.Identities[0].Usable {
		t.Errorf("the identities: %+v", s.Identities)
	}
	if len(s.Outlets) != 1 || s.Outlets[0].Kind != "file" || s.Outlets[0].Written == nil || !*s.Outlets[0].Written {
		t.Errorf("the outlets: %+v", s.Outlets)
	}
	for range 20 {
		got, err := client.Credential(t.Context(), admin.Question{Identity: "aws", Configuration: c.Digest()})
		key, ok := got.Value.(refresher.AccessKey)
		if err != nil || !ok {
			t.Fatalf("Credential = %v, %v", got, err)
		}
		w.secret(key.Secret.Reveal(), key.SessionToken.Reveal())
		if _, valid := w.aws.Principal(key.ID, key.Secret.Reveal(), key.SessionToken.Reveal()); !valid {
			t.Error("the key is none")
		}
	}
	metrics := w.get(w.urls["PROBES"], "/metrics").body
	if !strings.Contains(metrics, `wisp_exchanges_total{identity="aws",class="success"} 1`+"\n") {
		t.Errorf("more than one exchange:\n%s", metrics)
	}
	if _, err := client.Credential(t.Context(), admin.Question{Identity: "aws", Configuration: "other"}); !errors.Is(err, admin.ErrOther) {
		t.Errorf("with another configuration: %v", err)
	}
	if err := client.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "Run returns", ended); err != nil {
		t.Errorf("Run = %v after Quit", err)
	}
}

// oneFileOf shows an identity in a file, and nowhere else.
func oneFileOf(identity string) string {
	return "\noutlets:\n- identity: " + identity + "\n  file: {path: \"${DIR}/out/credentials\", format: json, cleanup: never}\n"
}

// A place that the configuration names has to be had.
func TestAdminSocketThatCannotBeHad(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "taken")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	document := string(w.document(awsIdentity, "")) + "\nadmin: {socket: \"" + path + "\"}\n"
	err := w.agent([]byte(document), agent.Options{}).Run(t.Context())
	bind, ok := errors.AsType[*agent.BindError](err)
	if !ok || bind.Address != path {
		t.Errorf("Run = %v, want that %s cannot be had", err, path)
	}
}

// Whom a subject token is shown to that a Google library asks for.
func TestCheckProvider(t *testing.T) {
	const (
		own   = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/cluster/providers/cluster"
		other = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/other/providers/other"
	)
	const subject = `
- name: subject
  source: {file: {path: /tokens/google}}
  exchange: {subject: {}}
`
	token := func(audience string) refresher.Credential {
		return refresher.Credential{Value: refresher.Bearer{Type: refresher.TypeJWT, Token: refresher.Secret(issuer().Mint(cloudtest.TokenOptions{
			Namespace: "shop", ServiceAccount: "reports", Audience: []string{audience},
		}))}}
	}
	for _, test := range []struct {
		name, identities, provider string
		token                      refresher.Credential
		allowed                    bool
	}{
		{"that of an identity beside it", subject + googleIdentity, own, token("anything"), true},
		{"that of the token", subject, other, token("https:" + other), true},
		{"that of the token, without a scheme", subject, other, token(other), true},
		{"nobody's", subject + googleIdentity, other, token("anything"), false},
		{"one that is listed", strings.TrimSpace(subject) + "\n  audiences: [\"" + other + "\"]\n", other, token("anything"), true},
		{"the token's, where others are listed", strings.TrimSpace(subject) + "\n  audiences: [\"" + other + "\"]\n", own, token("https:" + own), false},
		{"that of no JWT", subject, other, refresher.Credential{Value: refresher.Bearer{Type: refresher.TypeSAML2, Token: "PHNhbWw+"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{T: t, urls: map[string]string{"DIR": "/tmp", "GOOGLE": "http://127.0.0.1:1", "PROBES": "127.0.0.1:9910"}}
			c, err := agent.Parse("config.yaml", w.document("\n"+test.identities, ""))
			if err != nil {
				t.Fatal(err)
			}
			err = c.CheckProvider("subject", test.provider, test.token)
			if (err == nil) != test.allowed {
				t.Errorf("CheckProvider = %v, want allowed: %t", err, test.allowed)
			}
			if err != nil && refresher.AsError(err).Class != refresher.Denied {
				t.Errorf("the class is %v, want denied", refresher.AsError(err).Class)
			}
		})
	}
}
