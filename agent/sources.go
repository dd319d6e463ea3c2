package agent

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// fileSource is a subject token in a file that somebody else renews: a projected service-account
// token, above all.
type fileSource struct {
	Path   string `yaml:"path" doc:"absolute path of the file; mount its directory, never the file alone with subPath (required)"`
	Format string `yaml:"format" doc:"text: the file is the token; json: the token is a field of a JSON object (default text)"`
	Field  string `yaml:"field" doc:"name of that field (required with format json)"`
	Type   string `yaml:"type" doc:"jwt, id_token or saml2 (default jwt)"`
	Watch  string `yaml:"watch" doc:"auto: be told of changes by inotify where that works; poll: look every 5 seconds (default auto)"`
}

// tokenTypes are the short names of the token types that a file may hold.
var tokenTypes = map[string]string{
	"":         refresher.TypeJWT,
	"jwt":      refresher.TypeJWT,
	"id_token": refresher.TypeIDToken,
	"saml2":    refresher.TypeSAML2,
}

func (o *fileSource) check() []refresher.FieldError {
	var list []refresher.FieldError
	report := func(field, problem string) {
		list = append(list, refresher.FieldError{Field: field, Problem: problem})
	}
	switch {
	case o.Path == "":
		report("path", "is missing")
	case !filepath.IsAbs(o.Path) || strings.HasSuffix(o.Path, "/") || strings.ContainsRune(o.Path, 0):
		report("path", "must be the absolute path of a file")
	}
	switch o.Format {
	case "", "text":
		if o.Field != "" {
			report("field", "has no meaning without format: json")
		}
	case "json":
		if o.Field == "" {
			report("field", "is missing: which field of the JSON object is the token")
		}
	default:
		report("format", "must be text or json")
	}
	if _, known := tokenTypes[o.Type]; !known {
		report("type", "must be one of "+strings.Join(slices.Sorted(maps.Keys(tokenTypes))[1:], ", "))
	}
	if !slices.Contains([]string{"", "auto", "poll"}, o.Watch) {
		report("watch", "must be auto or poll")
	}
	return list
}

func (o *fileSource) tokenType() string { return tokenTypes[o.Type] }

func (o *fileSource) source(s surroundings, audiences []string) (refresher.Source, error) {
	file, err := source.NewFile(source.FileOptions{
		Path:      o.Path,
		Format:    source.Format{JSONField: o.Field},
		Type:      o.tokenType(),
		Audiences: audiences,
		Watcher:   s.watcher,
		Poll:      o.Watch == "poll",
		Log:       s.log,
	})
	if err != nil {
		return nil, err // not file: a nil *File in an interface is not nil
	}
	return file, nil
}
