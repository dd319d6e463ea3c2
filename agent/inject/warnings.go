package inject

import "fmt"

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
			for _, name := range clouds[of].others {
				if !i.document && i.leads(c, of) && c.has(name) {
					warn("container %s has %s, with which its clients may pass wisp by", c.name, name)
				}
			}
		}
	}
	return list
}
