package cloudtest

import (
	"context"
	"errors"
	"net/url"
	"slices"
)

// subject verifies the subject token and returns whom it is about. RFC 8693 section 2.2.2: whatever is
// wrong with the token, the code is invalid_request.
func (s *OAuthSTS) subject(ctx context.Context, client OAuthClient, form url.Values) (string, *oauthFailure) {
	raw, kind := form.Get("subject_token"), form.Get("subject_token_type")
	switch {
	case raw == "":
		return "", invalidRequest("subject_token is missing")
	case kind == "":
		return "", invalidRequest("subject_token_type is missing")
	}
	switch kind {
	case typeJWT, typeIDToken, typeAccessToken:
		return s.jwtSubject(ctx, client, raw, kind)
	case "urn:ietf:params:oauth:token-type:saml2":
		if s.o.SAML == nil {
			break
		}
		subject, err := s.o.SAML(raw)
		if err != nil {
			return "", invalidRequest("subject_token: %v", err)
		}
		return subject, nil
	}
	return "", invalidRequest("subject_token_type %s is not supported", kind)
}

// jwtSubject takes tokens of its own and those of the trusted issuers, whose access tokens it cannot
// know to be such.
func (s *OAuthSTS) jwtSubject(ctx context.Context, client OAuthClient, raw, kind string) (string, *oauthFailure) {
	said, err := peek(raw)
	if err != nil {
		return "", invalidRequest("subject_token: %v", err)
	}
	if said.Issuer == s.o.URL {
		return s.ownSubject(client, raw, kind)
	}
	i := slices.IndexFunc(s.o.Trusted, func(trust Trust) bool { return trust.Issuer == said.Issuer })
	if i < 0 || kind == typeAccessToken {
		return "", invalidRequest("subject_token: issuer %s is not trusted for tokens of type %s", said.Issuer, kind)
	}
	verified, err := s.verifier.Verify(ctx, raw, s.o.Trusted[i])
	if refusal, ok := errors.AsType[*VerifyError](err); ok && refusal.Reason == IssuerUnreachable {
		return "", oauthRefusal("temporarily_unavailable", "the keys of issuer %s cannot be had", said.Issuer)
	}
	if err != nil {
		return "", invalidRequest("subject_token: %v", err)
	}
	return verified.Subject, nil
}

// ownSubject takes a token that this server issued, to the client or for it.
func (s *OAuthSTS) ownSubject(client OAuthClient, raw, kind string) (string, *oauthFailure) {
	token, err := s.Validate(raw)
	switch {
	case err != nil:
		return "", invalidRequest("subject_token: %v", err)
	case kind != typeJWT && token.Type != kind:
		return "", invalidRequest("subject_token is of type %s, not %s", token.Type, kind)
	case token.ClientID != client.ID && !slices.Contains(token.Audience, client.ID):
		return "", invalidRequest("subject_token was issued neither to this client nor for it")
	}
	return token.Subject, nil
}
