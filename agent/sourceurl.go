package agent

import (
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// urlSource is a subject token that some service gives out, above all one on this machine.
type urlSource struct {
	URL     string                      `yaml:"url" doc:"where to GET it: https, or http to this machine or to a metadata service on 169.254.169.254 (required)"`
	Headers map[string]refresher.Secret `yaml:"headers" doc:"header fields to send"`
	Format  string                      `yaml:"format" doc:"text: the answer is the token; json: the token is a field of a JSON object (default text)"`
	Field   string                      `yaml:"field" doc:"name of that field (required with format json)"`
	Type    string                      `yaml:"type" doc:"jwt, id_token, saml2 or access_token (default jwt)"`
}

func (o *urlSource) options(transport *upstream.Transport) source.URLOptions {
	return source.URLOptions{
		URL: o.URL, Headers: o.Headers, Format: source.Format{JSONField: o.Field}, Type: o.tokenType(), Transport: transport,
	}
}

func (o *urlSource) check(_ exchangeOptions, transport *upstream.Transport) []refresher.FieldError {
	list := checkDocument(o.Format, o.Field, o.Type)
	if len(list) > 0 {
		return list
	}
	return o.options(transport).Check()
}

func (o *urlSource) tokenType() string { return tokenTypes[o.Type] }

func (o *urlSource) source(s surroundings, _ exchangeOptions) (refresher.Source, error) {
	return madeSource(source.NewURL(o.options(s.transport)))
}
