package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// An impatient way gives up when wisp has said why there is no credential, as a tour does when its patience is at an end.
type impatient struct {
	way
	failed func() bool
}

func (i impatient) fetch(ctx context.Context) ([]byte, error) {
	text, err := i.way.fetch(ctx)
	if err != nil && i.failed() {
		err = errors.New(err.Error()) // which is not early
	}
	return text, err
}

func TestATourTellsWhatFailed(t *testing.T) {
	tests := []struct {
		name     string
		breaking func(*world)
		broken   []string // identities that get no credential
		because  string   // part of why
		want     []string
	}{
		{
			name:     "a role that does not trust the workload",
			breaking: func(w *world) { w.aws.PutRole(cloudtest.Role{ARN: awsRole}) },
			broken:   []string{"aws"}, because: "AccessDenied",
			want: []string{"5 of 20 outlets failed", "awsContainer of aws: 503", "imds of aws: 503", "AccessDenied",
				"file (credentials) of aws", "file (env) of aws", "admin of aws", "hint: "},
		},
		{
			name:     "a cloud that refuses connections",
			breaking: func(w *world) { w.entra.Refuse(true) },
			broken:   []string{"azure", "azure-archive"},
			want: []string{"6 of 20 outlets failed", "appService of azure: 503", "appService of azure-archive: 503", "appService (Cloud Shell) of azure: 503",
				"azureIMDS of azure: 503", "azureIMDS of azure-archive: 503", "bearer of azure: 503", "because: "},
		},
		{
			name: "a cloud that forgets what it issued",
			breaking: func(w *world) {
				w.google.Inject(cloudtest.Fault{Operation: "generateAccessToken", Status: 200,
					Body: `{"accessToken":"ya29.c.never-issued","expireTime":"2999-01-02T03:04:05Z"}`})
			},
			want: []string{"5 of 20 outlets failed", "gceMetadata of google: the cloud does not accept this credential"},
		},
		{
			name:     "an issuer whose tokens are worth nothing",
			breaking: func(w *world) { w.issuer.Inject(cloudtest.Fault{Operation: "jwks", Status: 200, Body: `{"keys":[]}`}) },
			broken:   []string{"aws", "aws-archive", "google", "google-archive", "azure", "azure-archive"},
			want: []string{"20 of 20 outlets failed", "subjectToken of google-subject: the cloud does not accept this credential",
				"file (token) of aws-subject: the cloud does not accept this credential"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout bytes.Buffer
			o := options{dir: shortDir(t), lifetime: defaultLifetime, once: true, patience: defaultPatience}
			p, err := open(o, &stdout)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			tt.breaking(p.world)
			for n, o := range p.outlets {
				if identity, _ := p.agent.Identity(o.identity); slices.Contains(tt.broken, o.identity) {
					p.outlets[n].way = impatient{o.way, func() bool {
						failure := identity.Status().Failure
						return failure != nil && strings.Contains(failure.Error(), tt.because)
					}}
				}
			}
			err = p.play(t.Context())
			if err == nil {
				t.Fatalf("play succeeded; stdout\n%s", &stdout)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("play = %v, want %q in it", err, want)
				}
			}
		})
	}
}
