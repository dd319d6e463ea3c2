package agent

import (
	"io/fs"
	"log/slog"
	"os"

	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
)

// fileOutlet writes one credential into one file.
type fileOutlet struct {
	Path                string      `yaml:"path" doc:"absolute path of the file; its directory has to exist (required)"`
	Format              string      `yaml:"format" doc:"token, json, awsSharedCredentials, awsConfig, credentialProcess or env (required)"`
	Profile             string      `yaml:"profile" doc:"section of an AWS shared credentials or config file (default default)"`
	Scopes              []string    `yaml:"scopes" doc:"scopes instead of the identity's default (Google, oauthSTS)"`
	Resource            string      `yaml:"resource" doc:"resource instead of the identity's default (Entra)"`
	Audience            string      `yaml:"audience" doc:"an ID token for this audience instead of an access token (Google, oauthSTS)"`
	Mode                fs.FileMode `yaml:"mode" doc:"permissions: 0600, 0640 or 0644 (default 0600)"`
	Group               *int        `yaml:"group" doc:"numeric id of the group that the file is given to"`
	AllowInsecureParent bool        `yaml:"allowInsecureParent" doc:"permit a directory that anybody can write to, as a Kubernetes emptyDir is: whoever can write there can replace the file (default false)"`
	Cleanup             string      `yaml:"cleanup" doc:"onExit: remove the file when wisp ends; never (default onExit on a memory file system, else never)"`
}

func (o *fileOutlet) options(f format.Options) file.Options {
	kind := format.Formats[o.Format]
	f.Profile = o.Profile
	return file.Options{
		Path:   o.Path,
		Encode: func(c refresher.Credential) ([]byte, error) { return kind.Encode(c, f) },
		Target: Target(o.Scopes, o.Resource, o.Audience), Lasting: kind.Public,
		Mode: o.Mode, Group: o.Group, Cleanup: file.Cleanup(o.Cleanup), AllowInsecureParent: o.AllowInsecureParent,
	}
}

func (o *fileOutlet) check() []refresher.FieldError {
	list := append(o.options(format.Options{}).Check(), format.Check(o.Format, format.Options{Profile: o.Profile})...)
	if o.Audience != "" && len(o.Scopes) > 0 {
		list = append(list, refresher.FieldError{Field: "audience", Problem: "is set besides scopes: an ID token has none"})
	}
	return list
}

func (o *fileOutlet) accepts(s shape) string {
	f, known := format.Formats[o.Format]
	switch {
	case !known:
		return "" // reported by check
	case s == accessKey && !f.AccessKey, s != accessKey && !f.Bearer:
		return "the format " + o.Format + " does not show that"
	case len(o.Scopes) > 0 && !s.scoped():
		return "scopes are for Google and oauthSTS"
	case o.Audience != "" && !s.scoped():
		return "an audience is for Google and oauthSTS"
	case o.Resource != "" && s != entraBearer:
		return "a resource is for Entra"
	}
	return ""
}

func (o *fileOutlet) String() string { return o.Path + " as " + o.Format }

func (o *fileOutlet) writer(identity outletIdentity, log *slog.Logger) (writer, error) {
	options := o.options(formatOptions(identity.name, identity.exchange, identity.config))
	options.Log = log
	w, err := file.New(options, identity.identity)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// variables name the file, if clients can be told of one in this format.
func (o *fileOutlet) variables(i outletIdentity, _ refresher.Secret) []Variable {
	named := func(name string) []Variable { return []Variable{{Name: name, Value: o.Path}} }
	switch {
	case o.Format == "awsSharedCredentials":
		list := append(named("AWS_SHARED_CREDENTIALS_FILE"), awsRegion(i)...)
		if o.Profile != "" {
			list = append(list, Variable{Name: "AWS_PROFILE", Value: o.Profile})
		}
		return list
	case o.Format == "awsConfig":
		list := append(named("AWS_CONFIG_FILE"), awsRegion(i)...)
		if o.Profile != "" {
			list = append(list, Variable{Name: "AWS_PROFILE", Value: o.Profile})
		}
		return list
	case o.Format == "token" && o.Audience == "" && i.exchange.yields() == googleBearer:
		return named("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE")
	}
	return nil
}

// formatOptions are what formats say of an identity besides its credential.
func formatOptions(identity string, x exchangeOptions, config string) format.Options {
	var o format.Options
	if aws, ok := x.(*awsExchange); ok {
		o.Region = aws.region()
		o.STSHost, o.STSRegion = aws.options(nil).STS()
	}
	o.Process = format.Process{Identity: identity, Config: config}
	o.Process.Executable, _ = os.Executable() // who needs it, reports that it is missing
	return o
}

// FormatOptions are what the formats need to know of an identity; the zero value if there is none.
func (c *Config) FormatOptions(identity string) format.Options {
	for n := range c.Identities {
		if i := &c.Identities[n]; i.Name == identity {
			return formatOptions(identity, i.Exchange.Options, c.path)
		}
	}
	return format.Options{}
}
