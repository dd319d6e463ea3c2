"""google-auth, by its default credentials; with an audience as argument, its ID tokens."""

import sys

import google.auth
import google.auth.transport.requests
import google.oauth2.id_token

import steps

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


def default():
    credentials, _ = google.auth.default(scopes=[CLOUD_PLATFORM])
    return google.auth.transport.requests.AuthorizedSession(credentials)


def get(session):
    who = steps.call(None, session)
    return steps.answer(who, session.credentials.token)


def identity():
    return google.auth.transport.requests.Request()


def get_identity(request):
    token = google.oauth2.id_token.fetch_id_token(request, sys.argv[1])
    return steps.answer(steps.call(token), token)


if len(sys.argv) > 1:
    steps.run(identity, get_identity)
else:
    steps.run(default, get)
