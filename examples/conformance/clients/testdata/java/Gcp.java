import com.google.api.client.http.GenericUrl;
import com.google.api.client.http.HttpRequestFactory;
import com.google.api.client.http.javanet.NetHttpTransport;
import com.google.auth.http.HttpCredentialsAdapter;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.auth.oauth2.IdTokenCredentials;
import com.google.auth.oauth2.IdTokenProvider;
import java.util.List;

/** google-auth-library, by its application default credentials; with an audience as argument, its ID tokens. */
final class Gcp {
  private Gcp() {}

  public static void main(String[] args) throws Exception {
    if (args.length > 0) {
      Steps.run(
          () ->
              IdTokenCredentials.newBuilder()
                  .setIdTokenProvider((IdTokenProvider) GoogleCredentials.getApplicationDefault())
                  .setTargetAudience(args[0])
                  .build(),
          credentials -> {
            credentials.refreshIfExpired();
            String token = credentials.getAccessToken().getTokenValue();
            return Steps.answer(Steps.call(token), List.of(token));
          });
    }
    Steps.run(
        () ->
            GoogleCredentials.getApplicationDefault()
                .createScoped("https://www.googleapis.com/auth/cloud-platform"),
        credentials -> {
          HttpRequestFactory requests =
              new NetHttpTransport().createRequestFactory(new HttpCredentialsAdapter(credentials));
          String who =
              requests
                  .buildGetRequest(new GenericUrl(System.getenv("CONFORMANCE_API")))
                  .execute()
                  .parseAsString();
          return Steps.answer(who, List.of(credentials.getAccessToken().getTokenValue()));
        });
  }
}
