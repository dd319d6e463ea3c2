import java.util.List;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.services.sts.StsClient;

/** The AWS SDK for Java 2, by its default chain. */
final class Aws {
  private Aws() {}

  private record Client(DefaultCredentialsProvider provider, StsClient sts) {}

  public static void main(String[] args) throws Exception {
    Steps.run(
        () -> {
          DefaultCredentialsProvider provider = DefaultCredentialsProvider.builder().build();
          return new Client(provider, StsClient.builder().credentialsProvider(provider).build());
        },
        client -> {
          String who = client.sts.getCallerIdentity().arn();
          return Steps.answer(who, List.of(client.provider.resolveCredentials().accessKeyId()));
        });
  }
}
