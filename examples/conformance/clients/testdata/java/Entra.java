import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import java.util.ArrayList;
import java.util.List;

/** azure-identity: the managed identity, and with an argument the default credential, too. */
final class Entra {
  private Entra() {}

  public static void main(String[] args) throws Exception {
    TokenRequestContext scope = new TokenRequestContext().addScopes("https://vault.azure.net/.default");
    Steps.run(
        () -> {
          List<TokenCredential> credentials = new ArrayList<>();
          credentials.add(new ManagedIdentityCredentialBuilder().build());
          if (List.of(args).contains("default")) {
            credentials.add(new DefaultAzureCredentialBuilder().build());
          }
          return credentials;
        },
        credentials -> {
          List<String> tokens = new ArrayList<>();
          List<String> seen = new ArrayList<>();
          for (TokenCredential credential : credentials) {
            String token = credential.getTokenSync(scope).getToken();
            tokens.add(token);
            seen.add(Steps.call(token));
          }
          return Steps.answer(String.join(" ", seen), tokens);
        });
  }
}
