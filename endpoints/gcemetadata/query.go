package gcemetadata

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parameter finds the first value of a name in a raw query. gcloud and the libraries for Node, .NET
// and PHP do not encode an audience such as https://host/path?a=b;c, the others do. So only "&"
// separates, the first "=" ends the name, and a value that does not decode is meant as it is.
func parameter(query, name string) (string, bool) {
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key != name {
			continue
		}
		if decoded, err := url.QueryUnescape(value); err == nil {
			return decoded, true
		}
		return value, true
	}
	return "", false
}

// isTrue reads a flag, in any case.
func isTrue(query, name string) bool {
	value, _ := parameter(query, name)
	return strings.EqualFold(value, "true")
}

// printable: a scope or an audience goes to Google, so it must be text on one line.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
