"""Steps has a client do what it is told, line by line, for as long as somebody tells it.

"get" is to obtain a credential and to use it in a call that the cloud verifies. The answer is a line of
JSON: whom the cloud takes the caller for, and a fingerprint of each credential, or the client's error.
"""

import hashlib
import json
import os
import sys

import requests


def run(make, get):
    """Makes a client when it is first needed, and once more if that failed, as programs do that try again."""
    client = None
    _say({"ready": True})
    for line in sys.stdin:
        try:
            if client is None:
                client = make()
            _say(get(client))
        except Exception as error:  # pylint: disable=broad-except
            _say({"error": f"{type(error).__name__}: {error}"})


def answer(who, *credentials):
    return {"who": who, "credentials": [hashlib.sha256(c.encode()).hexdigest() for c in credentials]}


def call(token, session=None):
    """Calls an API of the cloud with an access token, or with a session that has one, and returns who it saw."""
    headers = {"Authorization": "Bearer " + token} if token else {}
    response = (session or requests).get(os.environ["CONFORMANCE_API"], headers=headers, timeout=20)
    response.raise_for_status()
    return response.text


def _say(what):
    print(json.dumps(what), flush=True)
