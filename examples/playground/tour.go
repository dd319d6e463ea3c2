package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// introduce says where everything is.
func (p *playground) introduce() {
	s := p.screen
	s.printf("wisp's playground: everything is on 127.0.0.1, and the clouds are fakes.\n")
	s.printf("  token issuer       %s", p.at.url(atIssuer))
	s.printf("  AWS, Google, Entra %s  %s  %s", p.at.url(atAWS), p.at.url(atGoogle), p.at.url(atEntra))
	s.printf("  wisp's outlets     %s", p.at.url(atOutlets))
	s.printf("  wisp's probes      %s/readyz  and /metrics", p.at.url(atProbes))
	s.printf("  wisp's commands    %s", cmp.Or(p.dir.socket(), "not served: for a socket the directory's path is too long"))
	s.printf("  configuration      %s", p.dir.file(configFile))
	s.printf("  for your shell     . %s", quoteShell(p.dir.file(envFile)))
}

// showTokens shows what the files of the volume say.
func (p *playground) showTokens() error {
	p.screen.printf("\nThe kubelet's volume holds one token per cloud (%s):", p.dir.file(volumeDir))
	var problems []error
	for _, t := range tokens {
		text, err := os.ReadFile(p.dir.token(t))
		raw := refresher.Secret(text)
		claims, malformed := refresher.ParseClaims(raw)
		if err := cmp.Or(err, malformed); err != nil {
			problems = append(problems, err)
			continue
		}
		p.screen.printf("  %-13s %s  iss %s  sub %s  exp %s\n%26saud %s", t.Path, refresher.Token{Raw: raw}.Fingerprint(),
			claims.Issuer, claims.Subject, claims.Expires.Local().Format(time.TimeOnly), "", strings.Join(claims.Audience, ", "))
	}
	return errors.Join(problems...)
}

// tour asks all outlets, and shows what they answer. Its error is what failed.
func (p *playground) tour(ctx context.Context) ([]answer, error) {
	answers := p.askAll(ctx, time.Now().Add(p.options.patience))
	if ctx.Err() != nil {
		return nil, ctx.Err() // interrupted, or something else failed
	}
	p.screen.printf("\nApplications ask wisp:")
	var failed []string
	for _, a := range answers {
		p.screen.answer(a)
		if a.err != nil {
			failed = append(failed, fmt.Sprintf("%s of %s: %v%s", a.outlet.name(), a.outlet.identity, a.err, p.why(a.outlet.identity)))
		}
	}
	p.screen.printf("\nThe clouds were asked for: %s.", p.world.exchanges())
	p.screen.printf("%d of %d answers were good.", len(answers)-len(failed), len(answers))
	if len(failed) > 0 {
		return answers, fmt.Errorf("%d of %d outlets failed:\n  %s", len(failed), len(answers), strings.Join(failed, "\n  "))
	}
	return answers, nil
}

// askAll asks all outlets at the same time.
func (p *playground) askAll(ctx context.Context, deadline time.Time) []answer {
	answers := make([]answer, len(p.outlets))
	var asking sync.WaitGroup
	for i, o := range p.outlets {
		asking.Go(func() { answers[i] = o.askPatiently(ctx, deadline) })
	}
	asking.Wait()
	return answers
}

// why is what wisp itself knows of an identity without a credential.
func (p *playground) why(identity string) string {
	i, known := p.agent.Identity(identity)
	if !known || i.Status().Failure == nil {
		return ""
	}
	failure := i.Status().Failure
	text := fmt.Sprintf("\n    because: %v", failure)
	if failure.Hint != "" {
		text += "\n    hint: " + failure.Hint
	}
	return text
}
