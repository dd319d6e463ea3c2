// The AWS SDK for JavaScript, by its default chain.

import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";

import { answer, run } from "./steps.mjs";

run(
  () => new STSClient({ credentials: fromNodeProviderChain(), maxAttempts: 2 }),
  async (sts) => {
    const who = await sts.send(new GetCallerIdentityCommand({}));
    const credentials = await sts.config.credentials();
    return answer(who.Arn, credentials.accessKeyId);
  },
);
