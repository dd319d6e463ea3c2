// Command driver is the clients for Go: it has one of them do what it is told, line by line, for as long as somebody
// tells it.
//
//	driver CLIENT [OPTION]...
//
// "get" is to obtain a credential and to use it in a call that the cloud verifies. The answer is a line of
// JSON: whom the cloud takes the caller for, and a fingerprint of each credential, or the client's error. Where
// things are the clients read from the environment, as they do anywhere.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// A client gets a credential, uses it, and returns whom the cloud takes it for and the credentials used.
type client func(context.Context) (who string, credentials []string, err error)

// clients are made when they are first needed, and once more if that failed, as programs do that try again.
var clients = map[string]func(context.Context, options) (client, error){
	"aws-sdk":    awsSDK,
	"auth":       googleAuth,
	"metadata":   computeMetadata,
	"oauth2":     googleOAuth2,
	"azidentity": azureIdentity,
	"adal":       azureADAL,
}

// options are the arguments after the client's name.
type options map[string]bool

func main() {
	if len(os.Args) < 2 || clients[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "driver: which client?")
		os.Exit(2)
	}
	asked := options{}
	for _, name := range os.Args[2:] {
		asked[name] = true
	}
	if err := run(os.Args[1], asked); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		os.Exit(1)
	}
}

// An answer is one line of the output.
type answer struct {
	Ready       bool     `json:"ready,omitempty"`
	Who         string   `json:"who,omitempty"`
	Credentials []string `json:"credentials,omitempty"`
	Error       string   `json:"error,omitempty"`
}

func run(name string, asked options) error {
	say := json.NewEncoder(os.Stdout)
	if err := say.Encode(answer{Ready: true}); err != nil {
		return err
	}
	var get client
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var a answer
		var err error
		if get == nil {
			get, err = clients[name](context.Background(), asked)
		}
		if err == nil {
			a, err = once(get)
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := say.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// patience is for one credential and one call, with all retries.
const patience = 4 * time.Minute

func once(get client) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	who, credentials, err := get(ctx)
	a := answer{Who: who}
	for _, credential := range credentials {
		sum := sha256.Sum256([]byte(credential))
		a.Credentials = append(a.Credentials, hex.EncodeToString(sum[:]))
	}
	return a, err
}

// call calls an API of the cloud with an access token, or by an HTTP client that has one, and returns who it saw.
func call(ctx context.Context, token string, by *http.Client) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("CONFORMANCE_API"), nil)
	if err != nil {
		return "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := by.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the API answers %s: %s", response.Status, text)
	}
	return string(text), err
}
