"""azure-identity: the managed identity, and with an argument the default credential, too."""

import sys

from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

import steps

SCOPE = "https://vault.azure.net/.default"


def make():
    return [ManagedIdentityCredential()] + ([DefaultAzureCredential()] if "default" in sys.argv else [])


def get(credentials):
    tokens = [credential.get_token(SCOPE).token for credential in credentials]
    return steps.answer(" ".join(steps.call(token) for token in tokens), *tokens)


steps.run(make, get)
