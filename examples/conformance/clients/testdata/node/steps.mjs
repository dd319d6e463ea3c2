// Steps has a client do what it is told, line by line, for as long as somebody tells it.
//
// "get" is to obtain a credential and to use it in a call that the cloud verifies. The answer is a line of
// JSON: whom the cloud takes the caller for, and a fingerprint of each credential, or the client's error.

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

// run makes a client when it is first needed, and once more if that failed, as programs do that try again.
export async function run(make, get) {
  let client;
  say({ ready: true });
  for await (const _ of createInterface({ input: process.stdin })) {
    try {
      client ??= await make();
      say(await get(client));
    } catch (error) {
      say({ error: `${error.name}: ${error.message}` });
    }
  }
}

export function answer(who, ...credentials) {
  return { who, credentials: credentials.map((c) => createHash("sha256").update(c).digest("hex")) };
}

// call calls an API of the cloud with an access token and returns who it saw.
export async function call(token) {
  const response = await fetch(process.env.CONFORMANCE_API, { headers: { Authorization: `Bearer ${token}` } });
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`the API answers ${response.status}: ${text}`);
  }
  return text;
}

function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}
