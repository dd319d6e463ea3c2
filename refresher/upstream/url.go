package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// hostName is what a host name may consist of; url.Parse lets more pass.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?$`)

// CheckURL parses the URL of a cloud's endpoint. It must be absolute and https, or, if the options
// allow it, http to a loopback address; without user information, which makes the host hard to see
// ("https://sts.amazonaws.com@evil.example"), and without a fragment. Errors do not repeat the URL:
// it may hold a password.
func (t *Transport) CheckURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a valid URL")
	}
	if strings.Contains(raw, "#") {
		return nil, errors.New("a URL with a fragment (#) cannot be an endpoint")
	}
	if err := t.check(u); err != nil {
		return nil, err
	}
	return u, nil
}

func (t *Transport) check(u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Opaque != "" || host == "":
		return errors.New("the URL names no host: write https://host/path")
	case u.User != nil:
		return errors.New("a URL with user information (user@host) is refused")
	case !hostName.MatchString(host) && !isAddress(host):
		return errors.New("the URL's host is neither a name nor an address")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("scheme %q is refused: use https", u.Scheme)
	case t.local && (isNearby(host) || slices.Contains(nearbyNames, strings.ToLower(strings.TrimSuffix(host, ".")))):
		return nil
	case t.local:
		return errors.New("http is refused: use https (http is possible only to this machine, such as 127.0.0.1 or localhost, and to a metadata service on 169.254.169.254)")
	case !isLoopback(host):
		return errors.New("http is refused: use https (http is possible only to a loopback address such as 127.0.0.1)")
	case !t.allowLoopback:
		return errors.New("http to a loopback address needs upstream.allowInsecureLoopback: true")
	}
	return nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
