package inject

import (
	"fmt"
	"slices"
)

// places are variables that say where to work, not whom to ask for credentials: an application's own are its own business.
var places = []string{"AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_CLOUD_PROJECT"}

// warnings are what the Pod's author should know, although nothing forbids it.
func (i *injection) warnings() []string {
	var list []string
	warn := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, name := range i.open() {
		warn("%s answers every container of the Pod: its protocol has no secret", name)
	}
	i.bypasses(func(c *container, of cloud) {
		warn("container %s has %s, with which its clients pass wisp by", c.name, clouds[of].bypass)
	})
	for _, c := range i.served {
		for _, v := range i.variables(c) {
			if slices.Contains(places, v.Name) {
				continue
			}
			for _, own := range c.variables(v.Name) {
				if !own.same(v) {
					warn("container %s has a %s of its own, which is kept: its clients may not ask wisp", c.name, v.Name)
					break
				}
			}
		}
	}
	for _, c := range i.served {
		for of := range cloud(len(clouds)) {
			others := clouds[of].others
			if of == aws && (i.asks("imds") || i.linkLocal) {
				others = append(slices.Clip(others), "AWS_EC2_METADATA_DISABLED")
			}
			for _, name := range others {
				if !i.document && i.leads(c, of) && c.has(name) {
					warn("container %s has %s, with which its clients may pass wisp by", c.name, name)
				}
			}
		}
	}
	return list
}
