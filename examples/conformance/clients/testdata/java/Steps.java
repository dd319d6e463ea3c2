import com.google.gson.Gson;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * Steps has a client do what it is told, line by line, for as long as somebody tells it.
 *
 * <p>"get" is to obtain a credential and to use it in a call that the cloud verifies. The answer is a line of
 * JSON: whom the cloud takes the caller for, and a fingerprint of each credential, or the client's error.
 */
final class Steps {
  private Steps() {}

  /** What a client does with "get". */
  interface Get<C> {
    Map<String, Object> from(C client) throws Exception;
  }

  /** Makes a client when it is first needed, and once more if that failed, as programs do that try again. */
  static <C> void run(Callable<C> make, Get<C> get) throws IOException {
    C client = null;
    say(Map.of("ready", true));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    while (in.readLine() != null) {
      try {
        if (client == null) {
          client = make.call();
        }
        say(get.from(client));
      } catch (Exception | LinkageError e) {
        say(Map.of("error", e.toString()));
      }
    }
    System.exit(0); // whatever threads the client has
  }

  static Map<String, Object> answer(String who, List<String> credentials) throws Exception {
    MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
    List<String> prints =
        credentials.stream().map(c -> HexFormat.of().formatHex(sha256.digest(c.getBytes()))).toList();
    return Map.of("who", who, "credentials", prints);
  }

  private static final HttpClient HTTP = HttpClient.newHttpClient();

  /** Calls an API of the cloud with an access token and returns who it saw. */
  static String call(String token) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(System.getenv("CONFORMANCE_API")))
            .header("Authorization", "Bearer " + token)
            .build();
    HttpResponse<String> response = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
    if (response.statusCode() != 200) {
      throw new IOException("the API answers " + response.statusCode() + ": " + response.body());
    }
    return response.body();
  }

  private static void say(Map<String, Object> what) {
    System.out.println(new Gson().toJson(what));
  }
}
