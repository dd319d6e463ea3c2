package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/refresher"
)

// Socket is where the admin socket is, or is looked for; empty if there is none.
func (c *AdminConfig) socket(getenv func(string) string) string {
	switch c.Socket {
	case "":
		return admin.DefaultSocket(getenv)
	case off:
		return ""
	}
	return c.Socket
}

// AdminSocket is where a wisp with this configuration has its admin socket; empty if it has none.
func (c *Config) AdminSocket() string { return c.Admin.socket(os.Getenv) }

// Digest tells this configuration from others; empty if it was not read from a document.
func (c *Config) Digest() string { return c.digest }

// listenAdmin opens the admin socket; nil if there is none. One that the configuration names has to be had.
// Without the usual one wisp does its work all the same: its commands then exchange by themselves.
func (a *Agent) listenAdmin(ctx context.Context) (net.Listener, error) {
	c := a.config.Admin
	path := c.socket(os.Getenv)
	if path == "" {
		return nil, nil
	}
	l, err := admin.Listen(ctx, path, admin.SocketOptions{UIDs: c.UIDs, Anyone: c.Anyone})
	if err != nil && c.Socket == "" {
		level := slog.LevelWarn
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			level = slog.LevelInfo // the directory is there for something else, secrets perhaps
		}
		a.log.Log(ctx, level, "no admin socket", "socket", path, "error", err)
		return nil, nil
	}
	return l, err
}

// backend is the agent as the admin socket shows it.
type backend struct{ *Agent }

func (b backend) Status() admin.Status {
	s := admin.Status{Version: b.version, Started: len(b.unstarted()) == 0, Ready: !b.draining.Load()}
	for _, i := range b.identities {
		status := i.identity.Status()
		if i.required && !status.Usable {
			s.Ready = false
		}
		identity := admin.Identity{
			Name: i.identity.Name(), Yields: string(i.exchange.yields()), Required: i.required,
			State: string(status.State), Usable: status.Usable,
			ExpiresIn: int64(max(0, status.Left) / time.Second), NextAttemptIn: int64(status.Next / time.Second),
		}
		if e := status.Failure; e != nil {
			identity.Failure = &admin.Failure{Class: e.Class.String(), Code: e.Code, Hint: e.Hint, Message: "the log of wisp says more"}
		}
		s.Identities = append(s.Identities, identity)
	}
	writers := map[string]writer{}
	for _, w := range b.writers {
		writers[w.path] = w.writer
	}
	for n := range b.config.Outlets {
		o := &b.config.Outlets[n]
		outlet := admin.Outlet{Kind: o.Outlet.Kind, Identities: o.names(), Where: o.where()}
		if w := writers[o.path(n)]; w != nil {
			written := w.Written()
			outlet.Written = &written
			if err := w.Err(); err != nil {
				outlet.Failure = err.Error() // it names the file and holds no word of a cloud
			}
		}
		s.Outlets = append(s.Outlets, outlet)
	}
	return s
}

func (b backend) Credential(ctx context.Context, q admin.Question) (refresher.Credential, error) {
	if q.Configuration != "" && q.Configuration != b.config.digest {
		return refresher.Credential{}, admin.ErrOther
	}
	identity, known := b.Agent.Identity(q.Identity)
	if !known {
		return refresher.Credential{}, admin.ErrUnknown
	}
	c, err := identity.Credential(ctx, q.Target)
	if err == nil && q.Provider != "" {
		err = b.config.CheckProvider(q.Identity, q.Provider, c)
	}
	return c, err
}

func (b backend) Refresh(name string) ([]admin.Refreshed, error) {
	known := slices.ContainsFunc(b.identities, func(i *runningIdentity) bool { return i.identity.Name() == name })
	if name != "" && !known {
		return nil, admin.ErrUnknown
	}
	var done []admin.Refreshed
	for _, i := range b.identities {
		if name == "" || name == i.identity.Name() {
			done = append(done, admin.Refreshed{Identity: i.identity.Name(), Accepted: b.refresh(i)})
		}
	}
	return done, nil
}

// CheckProvider says whether a library that wants a token for the provider, a Google audience, may have c,
// the subject token of an identity: the identity's audiences list the provider or, if they are not set,
// another identity of the configuration exchanges there, or the token itself is for it.
func (c *Config) CheckProvider(identity, provider string, token refresher.Credential) error {
	var known []string
	for n := range c.Identities {
		if c.Identities[n].Name == identity {
			known = c.Identities[n].Audiences
		}
	}
	if len(known) == 0 {
		for n := range c.Identities {
			if google, ok := c.Identities[n].Exchange.Options.(*googleExchange); ok {
				known = append(known, google.Audience)
			}
		}
		bearer, _ := token.Value.(refresher.Bearer)
		if claims, err := refresher.ParseClaims(bearer.Token); err == nil {
			known = append(known, claims.Audience...)
		}
	}
	if slices.Contains(known, provider) || slices.Contains(known, "https:"+provider) {
		return nil
	}
	return &refresher.Error{
		Class: refresher.Denied, Code: refresher.CodeTargetNotAllowed,
		Err:  fmt.Errorf("a token for %.200q was asked for, and identity %q is for %q", provider, identity, known),
		Hint: "list that audience in the identity's audiences, or mend the one in the credential configuration file",
	}
}
