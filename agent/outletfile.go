package agent

import (
	"io/fs"
	"log/slog"

	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
)

// fileOutlet writes one credential into one file.
type fileOutlet struct {
	Path                string      `yaml:"path" doc:"absolute path of the file; its directory has to exist (required)"`
	Format              string      `yaml:"format" doc:"token, json, awsSharedCredentials or credentialProcess (required)"`
	Profile             string      `yaml:"profile" doc:"section of an AWS shared credentials file (default default)"`
	Scopes              []string    `yaml:"scopes" doc:"scopes instead of the identity's default (Google, oauthSTS)"`
	Resource            string      `yaml:"resource" doc:"resource instead of the identity's default (Entra)"`
	Audience            string      `yaml:"audience" doc:"an ID token for this audience instead of an access token (Google, oauthSTS)"`
	Mode                fs.FileMode `yaml:"mode" doc:"permissions: 0600, 0640 or 0644 (default 0600)"`
	Group               *int        `yaml:"group" doc:"numeric id of the group that the file is given to"`
	AllowInsecureParent bool        `yaml:"allowInsecureParent" doc:"permit a directory that anybody can write to, as a Kubernetes emptyDir is: whoever can write there can replace the file (default false)"`
	Cleanup             string      `yaml:"cleanup" doc:"onExit: remove the file when wisp ends; never (default onExit on a memory file system, else never)"`
}

func (o *fileOutlet) options() file.Options {
	return file.Options{
		Path: o.Path,
		Encode: func(c refresher.Credential) ([]byte, error) {
			return format.Formats[o.Format].Encode(c, format.Options{Profile: o.Profile})
		},
		Target: Target(o.Scopes, o.Resource, o.Audience),
		Mode:   o.Mode, Group: o.Group, Cleanup: file.Cleanup(o.Cleanup), AllowInsecureParent: o.AllowInsecureParent,
	}
}

func (o *fileOutlet) check() []refresher.FieldError {
	list := append(o.options().Check(), format.Check(o.Format, format.Options{Profile: o.Profile})...)
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
	options := o.options()
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
	case o.Format == "token" && o.Audience == "" && i.exchange.yields() == googleBearer:
		return named("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE")
	}
	return nil
}
