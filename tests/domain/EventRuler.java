// Says of each line {"pattern": text, "event": text} whether AWS's matcher lets the event pass.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import software.amazon.event.ruler.Machine;

public final class EventRuler {
  public static void main(String[] arguments) throws Exception {
    ObjectMapper json = new ObjectMapper();
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonNode asked = json.readTree(line);
      System.out.println(answer(asked.get("pattern").asText(), asked.get("event").asText()));
      System.out.flush();
    }
  }

  private static String answer(String pattern, String event) {
    try {
      Machine machine = new Machine();
      machine.addRule("rule", pattern);
      return String.valueOf(!machine.rulesForJSONEvent(event).isEmpty());
    } catch (Exception refused) {
      return "refused: " + String.valueOf(refused.getMessage()).replace('\n', ' ');
    }
  }
}
