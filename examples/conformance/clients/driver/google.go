package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/idtoken"
	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"
	// audience is that of the ID tokens that are wanted with it as an option.
	audience = "https://app.example"
)

// googleAuth is cloud.google.com/go/auth, by the credentials that it detects.
func googleAuth(_ context.Context, asked options) (client, error) {
	found, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{cloudPlatform}})
	if asked[audience] {
		found, err = idtoken.NewCredentials(&idtoken.Options{Audience: audience})
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, []string, error) {
		token, err := found.Token(ctx)
		if err != nil {
			return "", nil, err
		}
		who, err := call(ctx, token.Value, http.DefaultClient)
		return who, []string{token.Value}, err
	}, nil
}

// computeMetadata is cloud.google.com/go/compute/metadata, which only reads.
func computeMetadata(_ context.Context, asked options) (client, error) {
	if !metadata.OnGCE() {
		return nil, errors.New("metadata.OnGCE is false")
	}
	m := metadata.NewClient(nil)
	return func(ctx context.Context) (string, []string, error) {
		token, err := m.GetWithContext(ctx, "instance/service-accounts/default/identity?audience="+audience)
		if !asked[audience] {
			var text string
			text, err = m.GetWithContext(ctx, "instance/service-accounts/default/token")
			var parsed struct {
				Token string `json:"access_token"`
			}
			err = errors.Join(err, json.Unmarshal([]byte(text), &parsed))
			token = parsed.Token
		}
		if err != nil {
			return "", nil, err
		}
		who, err := call(ctx, token, http.DefaultClient)
		return who, []string{token}, err
	}, nil
}

// googleOAuth2 is golang.org/x/oauth2/google, by its default credentials.
func googleOAuth2(context.Context, options) (client, error) {
	found, err := google.FindDefaultCredentials(context.Background(), cloudPlatform)
	if err != nil {
		return nil, err
	}
	by := oauth2.NewClient(context.Background(), found.TokenSource)
	return func(ctx context.Context) (string, []string, error) {
		who, err := call(ctx, "", by)
		if err != nil {
			return "", nil, err
		}
		token, err := found.TokenSource.Token()
		if err != nil {
			return "", nil, err
		}
		return who, []string{token.AccessToken}, nil
	}, nil
}
