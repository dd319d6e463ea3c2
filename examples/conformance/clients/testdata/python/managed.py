"""msal, which the Azure CLI uses, too: the managed identity."""

import msal
import requests

import steps


def make():
    return msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=requests.Session())


def get(client):
    result = client.acquire_token_for_client(resource="https://vault.azure.net")
    if "access_token" not in result:
        raise RuntimeError(f"{result.get('error')}: {result.get('error_description')}")
    return steps.answer(steps.call(result["access_token"]), result["access_token"])


steps.run(make, get)
