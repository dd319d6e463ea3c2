package agent

import (
	"maps"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// tokenTypes are the short names of the types that a subject token may have, where a document says so.
var tokenTypes = map[string]string{
	"":             refresher.TypeJWT,
	"jwt":          refresher.TypeJWT,
	"id_token":     refresher.TypeIDToken,
	"saml2":        refresher.TypeSAML2,
	"access_token": refresher.TypeAccessToken,
}

// shortType is the name of a type in a document.
func shortType(uri string) string {
	for _, name := range slices.Sorted(maps.Keys(tokenTypes)) {
		if name != "" && tokenTypes[name] == uri {
			return name
		}
	}
	return uri
}

// checkType reports a type that is not one of those allowed, or of tokenTypes if none are given.
func checkType(name string, allowed ...string) []refresher.FieldError {
	if len(allowed) == 0 {
		allowed = slices.Sorted(maps.Keys(tokenTypes))[1:]
	}
	if name == "" || slices.Contains(allowed, name) {
		return nil
	}
	return []refresher.FieldError{{Field: "type", Problem: "must be one of " + strings.Join(allowed, ", ")}}
}

// checkDocument checks how a token sits in a document that somebody else writes.
func checkDocument(format, field, tokenType string) []refresher.FieldError {
	list := checkType(tokenType)
	report := func(field, problem string) {
		list = append(list, refresher.FieldError{Field: field, Problem: problem})
	}
	switch format {
	case "", "text":
		if field != "" {
			report("field", "has no meaning without format: json")
		}
	case "json":
		if field == "" {
			report("field", "is missing: which field of the JSON object is the token")
		}
	default:
		report("format", "must be text or json")
	}
	return list
}

// audienceFor is the audience to ask a token for: what the document says, else what the exchange
// expects; empty if nobody knows.
func audienceFor(configured string, x exchangeOptions) string {
	if configured != "" || x == nil || len(x.audiences()) == 0 {
		return configured
	}
	return x.audiences()[0]
}

// madeSource turns a constructor's results into those of the registry's interfaces, where a nil
// pointer must not become an interface that is not nil.
func madeSource[T refresher.Source](s T, err error) (refresher.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
