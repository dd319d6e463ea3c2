// @azure/identity: the managed identity, and with an argument the default credential, too.

import { DefaultAzureCredential, ManagedIdentityCredential } from "@azure/identity";

import { answer, call, run } from "./steps.mjs";

const scope = "https://vault.azure.net/.default";

run(
  () => [new ManagedIdentityCredential(), ...(process.argv.includes("default") ? [new DefaultAzureCredential()] : [])],
  async (credentials) => {
    const tokens = [];
    const seen = [];
    for (const credential of credentials) {
      const { token } = await credential.getToken(scope);
      tokens.push(token);
      seen.push(await call(token));
    }
    return answer(seen.join(" "), ...tokens);
  },
);
