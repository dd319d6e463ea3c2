package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// builtOn is the name of the identity on which this one is built; empty if there is none.
func (c *IdentityConfig) builtOn() string {
	if chained, ok := c.Source.Options.(chainedSource); ok {
		return chained.builtOn()
	}
	return ""
}

// join tells each chained source about the identity that it shows, and reports names that lead nowhere
// and chains that lead back to their beginning.
func (c *Config) join(p *problems, byName map[string]*IdentityConfig, transport *upstream.Transport) {
	for n := range c.Identities {
		i := &c.Identities[n]
		name := i.builtOn()
		if name == "" {
			continue
		}
		path := fmt.Sprintf("identities[%d].source.%s", n, i.Source.Kind)
		other, known := byName[name]
		if !known {
			p.at(path, "there is no identity %q", name)
			continue
		}
		if circle := circle(i, byName); circle != nil {
			p.at(path, "identity %q is built on itself: %s", i.Name, strings.Join(circle, " → "))
			continue
		}
		if other.Exchange.Options == nil {
			continue // reported where it stands
		}
		if why := i.Source.Options.(chainedSource).join(other, transport); why != "" {
			p.at(path, "%s", why)
		}
	}
}

// circle follows the chain of an identity. It returns the names on the way if that comes back to the
// identity; another circle further on is that of the identities there.
func circle(i *IdentityConfig, byName map[string]*IdentityConfig) []string {
	names := []string{i.Name}
	for at := i; ; {
		name := at.builtOn()
		next, known := byName[name]
		if !known {
			return nil
		}
		if name == i.Name {
			return append(names, name)
		}
		if slices.Contains(names, name) {
			return nil
		}
		names = append(names, name)
		at = next
	}
}

// Only returns the configuration with nothing but one identity and those that it is built on, for asking
// it without running the rest.
func (c *Config) Only(name string) *Config {
	keep := map[string]bool{}
	for name != "" && !keep[name] {
		keep[name] = true
		n := slices.IndexFunc(c.Identities, func(i IdentityConfig) bool { return i.Name == name })
		if n < 0 {
			break
		}
		name = c.Identities[n].builtOn()
	}
	only := *c
	only.Outlets, only.dropped = nil, c.ownAddresses()
	only.Identities = slices.DeleteFunc(slices.Clone(c.Identities), func(i IdentityConfig) bool { return !keep[i.Name] })
	return &only
}

// inOrder are the places of the identities in the document, each after the one that it is built on.
func (c *Config) inOrder() []int {
	var order []int
	done := map[string]bool{"": true}
	for len(order) < len(c.Identities) {
		before := len(order)
		for n := range c.Identities {
			if i := &c.Identities[n]; !done[i.Name] && done[i.builtOn()] {
				done[i.Name] = true
				order = append(order, n)
			}
		}
		if len(order) == before {
			break // a circle, which check has reported
		}
	}
	return order
}
