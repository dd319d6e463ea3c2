package agent

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// fileSource is a subject token in a file that somebody else renews: a projected service-account
// token, above all.
type fileSource struct {
	Path   string `yaml:"path" doc:"absolute path of the file; mount its directory, never the file alone with subPath (required)"`
	Format string `yaml:"format" doc:"text: the file is the token; json: the token is a field of a JSON object (default text)"`
	Field  string `yaml:"field" doc:"name of that field (required with format json)"`
	Type   string `yaml:"type" doc:"jwt, id_token, saml2, or access_token for one that another authorization server has issued (default jwt)"`
	Watch  string `yaml:"watch" doc:"auto: be told of changes by inotify where that works; poll: look every 5 seconds (default auto)"`
}

func (o *fileSource) check(exchangeOptions, *upstream.Transport) []refresher.FieldError {
	list := checkDocument(o.Format, o.Field, o.Type)
	report := func(field, problem string) {
		list = append(list, refresher.FieldError{Field: field, Problem: problem})
	}
	switch {
	case o.Path == "":
		report("path", "is missing")
	case !filepath.IsAbs(o.Path) || strings.HasSuffix(o.Path, "/") || strings.ContainsRune(o.Path, 0):
		report("path", "must be the absolute path of a file")
	}
	if !slices.Contains([]string{"", "auto", "poll"}, o.Watch) {
		report("watch", "must be auto or poll")
	}
	return list
}

func (o *fileSource) tokenType() string { return tokenTypes[o.Type] }

func (o *fileSource) source(s surroundings, x exchangeOptions) (refresher.Source, error) {
	return madeSource(source.NewFile(source.FileOptions{
		Path:      o.Path,
		Format:    source.Format{JSONField: o.Field},
		Type:      o.tokenType(),
		Audiences: x.audiences(),
		Watcher:   s.watcher,
		Poll:      o.Watch == "poll",
		Log:       s.log,
	}))
}

func (o *fileSource) warning() string {
	if fixed, err := source.SubPath(o.Path); err != nil || !fixed {
		return ""
	}
	return o.Path + " is mounted with subPath, so it never changes; mount the volume's directory"
}
