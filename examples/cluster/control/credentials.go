package control

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
)

// credentials are what the API server knows people and itself by.
type credentials struct {
	token  string // of a member of system:masters
	tokens string // the file with that
	key    string // the file with the key that signs tokens of service accounts
}

func newCredentials(dir string) (credentials, error) {
	c := credentials{token: rand.Text(), tokens: filepath.Join(dir, "tokens.csv"), key: filepath.Join(dir, "sa.key")}
	if err := os.WriteFile(c.tokens, []byte(c.token+`,admin,admin,"system:masters"`+"\n"), 0o600); err != nil {
		return c, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return c, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return c, os.WriteFile(c.key, text, 0o600)
}
