package inject

import "strings"

// A volume is one of those that are added.
type volume struct {
	Name      string     `json:"name"`
	Projected *projected `json:"projected,omitempty"`
	EmptyDir  *emptyDir  `json:"emptyDir,omitempty"`
}

type projected struct {
	Sources []projection `json:"sources"`
}

type projection struct {
	Token    *tokenSource `json:"serviceAccountToken,omitempty"`
	Downward *downward    `json:"downwardAPI,omitempty"`
}

type tokenSource struct {
	Path              string `json:"path"`
	Audience          string `json:"audience"`
	ExpirationSeconds int    `json:"expirationSeconds"`
}

type downward struct {
	Items []downwardItem `json:"items"`
}

type downwardItem struct {
	Path     string   `json:"path"`
	FieldRef fieldRef `json:"fieldRef"`
}

type emptyDir struct {
	Medium    string `json:"medium"`
	SizeLimit string `json:"sizeLimit"`
}

// documentName is the file in the token volume that holds the Pod's own document.
const documentName = "wisp.yaml"

// volumes are the tokens, what wisp shares with the applications, and nothing.
func (i *injection) volumes() []any {
	var list []tokenSource
	if i.document {
		list = i.tokens()
	}
	for of := range clouds {
		if i.on[of] {
			list = append(list, tokenSource{clouds[of].path, i.audience[of].text, atoi(i.expiration[of].text)})
		}
	}
	tokens := new(projected)
	for n := range list {
		tokens.Sources = append(tokens.Sources, projection{Token: &list[n]})
	}
	if i.document {
		tokens.Sources = append(tokens.Sources, projection{Downward: &downward{Items: []downwardItem{
			{documentName, fieldRef{"metadata.annotations['" + Prefix + "config']"}},
		}}})
	}
	memory := func(name string) volume {
		return volume{Name: name, EmptyDir: &emptyDir{Medium: "Memory", SizeLimit: "1Mi"}}
	}
	return []any{volume{Name: tokenVolume, Projected: tokens}, memory(runVolume), memory(emptyVolume)}
}

// tokens are the sources of the token volume that a document asks for: NAME=AUDIENCE, separated by commas.
func (i *injection) tokens() []tokenSource {
	var list []tokenSource
	for _, entry := range bounded(i.setting("tokens"), maxNames) {
		name, audience, _ := strings.Cut(entry, "=")
		list = append(list, tokenSource{Path: name, Audience: audience, ExpirationSeconds: atoi(i.documentExpiration.text)})
	}
	return list
}
