package agent

import "github.com/wisp-sidecar/wisp/endpoints/format"

// FormatOptions are what the formats have to know of an identity: of one of AWS, the STS of its region. The
// rest is up to the caller.
func (c *Config) FormatOptions(identity string) format.Options {
	var o format.Options
	for n := range c.Identities {
		if aws, ok := c.Identities[n].Exchange.Options.(*awsExchange); ok && c.Identities[n].Name == identity {
			o.STSHost, o.Region = aws.options(nil).STS()
		}
	}
	return o
}
