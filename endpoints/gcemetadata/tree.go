package gcemetadata

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// newTree lays out what is known. There are no older trees beside v1: /0.1 and v1beta1 asked for no
// header. Entries are in alphabetical order, as the real server lists them.
func newTree(o Options) *node {
	attributes := dataDirectory("attributes")
	for _, name := range slices.Sorted(maps.Keys(o.Attributes)) {
		attributes.entries = append(attributes.entries, &node{name: name, value: o.Attributes[name]})
	}
	zone := ""
	if o.Zone != "" && o.NumericProjectID != "" {
		zone = "projects/" + o.NumericProjectID + "/zones/" + o.Zone // clients cut after the last slash
	}
	return directory("computeMetadata",
		directory("v1",
			directory("instance",
				attributes,
				text("hostname", o.Hostname),
				number("id", o.InstanceID),
				text("name", o.InstanceName),
				accounts(o),
				text("zone", zone),
			),
			directory("project",
				dataDirectory("attributes"),
				number("numeric-project-id", o.NumericProjectID),
				text("project-id", o.ProjectID),
			),
			directory("universe",
				text("universe-domain", o.UniverseDomain),
				alias(text("universe_domain", o.UniverseDomain)), // the spelling of some releases for PHP
			),
		),
	)
}

// accounts is the directory of service accounts. gcloud ignores "default" there and needs the e-mail;
// gsutil needs "default".
func accounts(o Options) *node {
	all := dataDirectory("service-accounts")
	for i, a := range o.Accounts {
		aliases := []string{}
		if i == 0 {
			aliases = []string{"default"}
		}
		tokens := minter{account: a, now: o.Now}
		account := directory(a.Email,
			&node{name: "aliases", value: aliases},
			text("email", a.Email),
			&node{name: "identity", handle: tokens.identity},
			&node{name: "scopes", value: append([]string{}, a.Scopes...)}, // in JSON [], not null
			&node{name: "token", handle: tokens.access},
		)
		if i == 0 {
			all.entries = append(all.entries, directory("default", account.entries...))
		}
		if a.Email != "" {
			all.entries = append(all.entries, account)
		}
	}
	return all
}

// directory makes a directory of the entries that are not nil.
func directory(name string, entries ...*node) *node {
	known := slices.DeleteFunc(entries, func(n *node) bool { return n == nil })
	return &node{name: name, directory: true, entries: known}
}

// dataDirectory makes a directory whose entries have names that are data, too.
func dataDirectory(name string) *node { return &node{name: name, directory: true, dataNames: true} }

// text makes a leaf, or nil if there is no value.
func text(name, value string) *node {
	if value == "" {
		return nil
	}
	return &node{name: name, value: value}
}

// number makes a leaf that JSON shows without quotes.
func number(name, digits string) *node {
	n := text(name, digits)
	if v, err := strconv.ParseUint(digits, 10, 64); err == nil && strconv.FormatUint(v, 10) == digits {
		n.value = json.Number(digits)
	}
	return n
}

// alias hides a leaf from listings.
func alias(n *node) *node {
	if n != nil {
		n.hidden = true
	}
	return n
}
