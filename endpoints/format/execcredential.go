package format

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wisp-sidecar/wisp/refresher"
)

// The versions of the ExecCredential API that Kubernetes still serves.
const (
	execV1      = "client.authentication.k8s.io/v1"
	execV1Beta1 = "client.authentication.k8s.io/v1beta1"
)

// execCredential is what a credential plugin of kubectl and other programs with client-go prints: a token
// for an API server. A bearer is that token, as AKS takes one of Entra and GKE one of Google; of an
// access key a token for EKS is made, see [eksToken].
//
// Sources: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
// and https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
func execCredential(c refresher.Credential, o Options) ([]byte, error) {
	version, err := execVersion(o.ExecInfo)
	if err != nil {
		return nil, err
	}
	var token string
	expires := c.Expires
	if key, ok := c.Value.(refresher.AccessKey); ok {
		if token, expires, err = eksToken(key, c.Expires, o); err != nil {
			return nil, err
		}
	} else {
		bearer, err := shape[refresher.Bearer]("execCredential", c)
		if err != nil {
			return nil, err
		}
		token = bearer.Token.Reveal()
		if err := check(part{"token", token}); err != nil {
			return nil, err
		}
	}
	type status struct {
		ExpirationTimestamp string `json:"expirationTimestamp,omitempty"`
		Token               string `json:"token"`
	}
	return encodeJSON(struct {
		Kind       string   `json:"kind"`
		APIVersion string   `json:"apiVersion"`
		Spec       struct{} `json:"spec"`
		Status     status   `json:"status"`
	}{Kind: "ExecCredential", APIVersion: version, Status: status{stamp(expires), token}})
}

// execVersion is the version that info asks for: client-go refuses an answer of another one than the
// kubeconfig names. Without info, as old clients ask, it is v1.
func execVersion(info string) (string, error) {
	if info == "" {
		return execV1, nil
	}
	var asked struct {
		APIVersion string `json:"apiVersion"`
	}
	if json.Unmarshal([]byte(info), &asked) != nil {
		return "", errors.New("KUBERNETES_EXEC_INFO is not a JSON object")
	}
	switch asked.APIVersion {
	case execV1, execV1Beta1:
		return asked.APIVersion, nil
	}
	return "", fmt.Errorf("KUBERNETES_EXEC_INFO asks for version %.60q; known are %s and %s: set apiVersion in the kubeconfig", asked.APIVersion, execV1, execV1Beta1)
}
