// google-auth-library, by its default credentials; with an audience as argument, its ID tokens.

import { GoogleAuth } from "google-auth-library";

import { answer, call, run } from "./steps.mjs";

const audience = process.argv[2];
const makeAuth = () => new GoogleAuth({ scopes: "https://www.googleapis.com/auth/cloud-platform" });

if (audience) {
  run(makeAuth, async (auth) => {
    const client = await auth.getIdTokenClient(audience);
    const token = await client.idTokenProvider.fetchIdToken(audience);
    return answer(await call(token), token);
  });
} else {
  run(makeAuth, async (auth) => {
    const client = await auth.getClient();
    const response = await client.request({ url: process.env.CONFORMANCE_API, responseType: "text" });
    const { token } = await client.getAccessToken();
    return answer(response.data, token);
  });
}
