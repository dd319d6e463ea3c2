package agent_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// On the node's network everybody could ask, so that an outlet has to have a secret.
func TestOutletsOnTheHostNetwork(t *testing.T) {
	for _, test := range []struct {
		outlet string
		good   bool
	}{
		{`{identity: aws, awsContainer: {secretFile: "${DIR}/secrets/aws"}}`, true},
		{`{identity: azure, appService: {secretFile: "${DIR}/secrets/azure"}}`, true},
		{`{identity: google, bearer: {secretFile: "${DIR}/secrets/google"}}`, true},
		{`{identity: aws, file: {path: "${DIR}/out/aws", format: awsSharedCredentials}}`, true},
		{`{identity: aws, awsContainer: {}}`, false},
		{`{identity: aws, imds: {}}`, false},
		{`{identity: google, gceMetadata: {}}`, false},
		{`{identity: azure, azureIMDS: {}}`, false},
		{`{identity: azure, appService: {secretFile: "${DIR}/secrets/azure", cloudShell: true}}`, false},
	} {
		t.Run(test.outlet, func(t *testing.T) {
			w := newWorld(t)
			c, err := agent.Parse("config.yaml", w.document(awsIdentity+googleIdentity+entraIdentity, "\noutlets: ["+test.outlet+"]\n"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = agent.New(c, agent.Options{HostNetwork: true})
			if (err == nil) != test.good {
				t.Fatalf("New = %v, want it to be accepted: %t", err, test.good)
			}
			if e, ok := errors.AsType[*agent.ConfigError](err); err != nil && (!ok || !strings.Contains(e.Error(), ": answers without a secret")) {
				t.Errorf("New = %v, want it to say why", err)
			}
		})
	}
}
