// What a user of the generated Java client does in a day; prints what it saw, as JSON.

import hookline.client.ApiClient;
import hookline.client.ApiException;
import hookline.client.ApiResponse;
import hookline.client.JSON;
import hookline.client.api.DeliveriesApi;
import hookline.client.api.EventTypesApi;
import hookline.client.api.EventsApi;
import hookline.client.api.IntegrationsApi;
import hookline.client.api.KeysApi;
import hookline.client.api.PbxRecordsApi;
import hookline.client.model.BatchStatus;
import hookline.client.model.Delivery;
import hookline.client.model.DeliveryStatus;
import hookline.client.model.EventBatchCreate;
import hookline.client.model.EventCreate;
import hookline.client.model.EventGroup;
import hookline.client.model.Integration;
import hookline.client.model.IntegrationCreate;
import hookline.client.model.IntegrationOutcome;
import hookline.client.model.IntegrationPage;
import hookline.client.model.IntegrationPatch;
import hookline.client.model.InvalidInputProblem;
import hookline.client.model.PbxLicence;
import hookline.client.model.PbxPut;
import hookline.client.model.PbxRecord;
import hookline.client.model.Problem;
import hookline.client.model.SecretRotationRequest;
import hookline.client.model.SigningSecret;
import hookline.client.model.SqsTransmissionCreate;
import hookline.client.model.TestAttempt;
import hookline.client.model.TestRequest;
import hookline.client.model.TestResult;
import hookline.client.model.TransmissionCreate;
import hookline.client.model.WebhookTransmissionCreate;
import hookline.client.model.WrongField;
import java.io.BufferedReader;
import java.math.BigDecimal;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

public final class Journey {
  private static final String PBX = "000000000001";
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final ApiClient client;
  private final IntegrationsApi integrations;
  private final EventTypesApi eventTypes;
  private final EventsApi events;
  private final DeliveriesApi deliveries;
  private final KeysApi keys;
  private final PbxRecordsApi pbxs;

  private Journey(ApiClient client) {
    this.client = client;
    integrations = new IntegrationsApi(client);
    eventTypes = new EventTypesApi(client);
    events = new EventsApi(client);
    deliveries = new DeliveriesApi(client);
    keys = new KeysApi(client);
    pbxs = new PbxRecordsApi(client);
  }

  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.setBasePath(System.getenv("HOOKLINE"));
    client.setBearerToken(System.getenv("KEY"));
    Map<String, Object> seen = new Journey(client).day();
    System.out.println(JSON.getGson().newBuilder().serializeNulls().create().toJson(seen));
    client.getHttpClient().dispatcher().executorService().shutdown();
    client.getHttpClient().connectionPool().evictAll();
  }

  private Map<String, Object> day() throws Exception {
    Integration webhook = createWebhook();
    Integration queue = createQueue();
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("key", keys.getCurrentKey().getRole());
    seen.put("groups", groups());
    seen.put("accessKeyId", queue.getTransmission().getSqsTransmission().getAccessKeyId());
    seen.put("wrong", wrongFields());
    seen.put("pages", pages());
    seen.put("searched", searched());
    seen.put("secrets", secrets(webhook));
    seen.put("batch", batch());
    seen.put("test", sendTest(webhook));
    seen.put("retried", retry(webhook));
    follow(webhook);
    seen.put("changed", change(webhook));
    seen.put("after", gone(queue));
    seen.put("pbx", describe());
    new Administration(client).administer(seen, webhook);
    return seen;
  }

  static IntegrationCreate webhookAt(String url) {
    WebhookTransmissionCreate target =
        new WebhookTransmissionCreate()
            .type(WebhookTransmissionCreate.TypeEnum.WEBHOOK)
            .url(URI.create(url));
    return new IntegrationCreate()
        .name("CRM")
        .pbx(PBX)
        .transmission(new TransmissionCreate(target));
  }

  private Integration createWebhook() throws ApiException {
    return integrations.createIntegration(
        webhookAt(System.getenv("TARGET"))
            .putEventsItem("call", "all")
            .putEventsItem("analytics", List.of("call:completed")),
        null);
  }

  private Integration createQueue() throws ApiException {
    SqsTransmissionCreate target =
        new SqsTransmissionCreate()
            .type(SqsTransmissionCreate.TypeEnum.AWS_SQS)
            .url(URI.create("https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events"))
            .accessKeyId("AKIAIOSFODNN7EXAMPLE")
            .secretAccessKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    return integrations.createIntegration(
        new IntegrationCreate()
            .name("Warehouse")
            .pbx(PBX)
            .transmission(new TransmissionCreate(target))
            .putEventsItem("chat", "all"),
        null);
  }

  private List<String> groups() throws ApiException {
    return eventTypes.listEventTypes(null).getGroups().stream().map(EventGroup::getName).toList();
  }

  interface Call {
    void run() throws ApiException;
  }

  private static String refused(Call call) {
    try {
      call.run();
    } catch (ApiException refused) {
      return refused.getResponseBody();
    }
    throw new AssertionError("The call was not refused.");
  }

  static Problem problem(Call call) throws Exception {
    return Problem.fromJson(refused(call));
  }

  private List<String> wrongFields() throws Exception {
    IntegrationCreate wrong =
        webhookAt("https://user:word@crm.example.com/hook")
            .putEventsItem("call", List.of("call:nonsense"));
    String body = refused(() -> integrations.createIntegration(wrong, null));
    return InvalidInputProblem.fromJson(body).getErrors().stream()
        .map(WrongField::getPath)
        .toList();
  }

  private List<List<String>> pages() throws ApiException {
    List<List<String>> seen = new ArrayList<>();
    String cursor = null;
    do {
      IntegrationPage page = integrations.listIntegrations(null, null, null, null, null, cursor, 1);
      seen.add(page.getItems().stream().map(Integration::getName).toList());
      cursor = page.getNext();
    } while (cursor != null);
    return seen;
  }

  private List<String> searched() throws ApiException {
    IntegrationPage page =
        integrations.listIntegrations(null, null, null, null, "wareH", null, null);
    return page.getItems().stream().map(Integration::getName).toList();
  }

  private Map<String, Boolean> secrets(Integration webhook) throws ApiException {
    String first = webhook.getTransmission().getWebhookTransmission().getSecret();
    SecretRotationRequest rotation = new SecretRotationRequest().gracePeriodHours(1);
    SigningSecret rotated = integrations.rotateIntegrationSecret(webhook.getId(), null, rotation);
    return Map.of(
        "shownOnce", first != null && first.length() == 32,
        "replaced", !rotated.getSecret().equals(first),
        "oldSignsAlong", rotated.getOldSecretUntil() != null);
  }

  private static EventCreate anEvent(String call) {
    return new EventCreate()
        .id(call)
        .pbx(PBX)
        .company("it_w000001")
        .time(1721836787753L)
        .type("call:completed")
        .data(Map.of("direction", "inbound"));
  }

  private List<String> batch() throws ApiException {
    List<EventCreate> sent = List.of(anEvent("one"), anEvent("one"), anEvent(""));
    return events.sendEventBatch(new EventBatchCreate().events(sent)).getResults().stream()
        .map(
            result ->
                result.getStatus() == BatchStatus.INVALID
                    ? "invalid: " + result.getError().getType()
                    : result.getStatus().getValue())
        .toList();
  }

  private List<Object> sendTest(Integration webhook) throws ApiException {
    TestRequest wanted = new TestRequest().type("call:completed");
    TestResult result = integrations.testIntegration(webhook.getId(), wanted);
    TestAttempt attempt = result.getAttempt();
    String number = result.getHeaders().get("webhook-attempt");
    return List.of(attempt.getOutcome(), attempt.getStatusCode(), number);
  }

  private Map<String, Object> retry(Integration webhook) throws Exception {
    UUID eventId = events.sendEvent(anEvent("two")).getEventId();
    UUID id =
        events.getEvent(eventId).getOutcomes().stream()
            .map(IntegrationOutcome::getDeliveryId)
            .filter(Objects::nonNull)
            .findFirst()
            .orElseThrow();
    delivered(id, 1);
    deliveries.retryDelivery(id);
    Delivery last = delivered(id, 2);
    List<Delivery> listed =
        deliveries
            .listDeliveries(
                webhook.getId(), List.of(DeliveryStatus.DELIVERED), null, null, null, null, null)
            .getItems();
    return Map.of(
        "status", last.getStatus(),
        "attempts", last.getAttempts().stream().map(attempt -> attempt.getOutcome()).toList(),
        "listed", listed.stream().anyMatch(delivery -> delivery.getId().equals(id)));
  }

  /** Asks until so many attempts have ended. */
  private Delivery delivered(UUID id, int attempts) throws Exception {
    Instant until = Instant.now().plus(PATIENCE);
    while (Instant.now().isBefore(until)) {
      Delivery found = deliveries.getDelivery(id);
      if (found.getStatus() == DeliveryStatus.DELIVERED && found.getAttempts().size() >= attempts) {
        return found;
      }
      Thread.sleep(20);
    }
    throw new AssertionError(id + " was not delivered in time");
  }

  /** Reads along, over the client's own HTTP client, until a delivery has ended. */
  private void follow(Integration webhook) throws Exception {
    OkHttpClient patient = client.getHttpClient().newBuilder().readTimeout(PATIENCE).build();
    Request request =
        new Request.Builder()
            .url(client.getBasePath() + "/v1/stream?integrationId=" + webhook.getId())
            .header("Authorization", "Bearer " + System.getenv("KEY"))
            .build();
    try (Response answer = patient.newCall(request).execute();
        BufferedReader lines = new BufferedReader(answer.body().charStream())) {
      boolean reading = false;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.startsWith("id: ") && !reading) { // from here on it reads along
          reading = true;
          events.sendEvent(anEvent("stream").type("call:update"));
        }
        if (line.startsWith("data: ")) {
          Delivery ended = Delivery.fromJson(line.substring("data: ".length()));
          if (ended.getStatus() == DeliveryStatus.DELIVERED
              && ended.getIntegrationId().equals(webhook.getId())) {
            return;
          }
          throw new AssertionError(line);
        }
      }
      throw new AssertionError("the stream ended");
    }
  }

  private List<Object> change(Integration webhook) throws Exception {
    IntegrationPatch rules =
        new IntegrationPatch()
            .omit(List.of("data.chunks"))
            .filter(Map.of("data", Map.of("direction", List.of("inbound"))));
    integrations.updateIntegration(webhook.getId(), rules, null);
    ApiResponse<Integration> read = integrations.getIntegrationWithHttpInfo(webhook.getId(), null);
    String tag = read.getHeaders().get("etag").get(0);
    IntegrationPatch changes = new IntegrationPatch().enabled(false).rateLimit(new BigDecimal(5));
    Integration changed = integrations.updateIntegration(webhook.getId(), changes, tag);
    if (!changed.getOmit().equals(rules.getOmit())
        || !changed.getFilter().equals(rules.getFilter())) {
      throw new AssertionError("A patch that left fields out has changed them: " + changed);
    }
    Problem stale = problem(() -> integrations.updateIntegration(webhook.getId(), changes, tag));
    return List.of(
        changed.getEnabled(),
        changed.getRateLimit(),
        changed.getHealth().getDisabledReason(),
        stale.getType());
  }

  private List<Object> gone(Integration queue) throws Exception {
    int deleted = integrations.deleteIntegrationWithHttpInfo(queue.getId(), null).getStatusCode();
    Problem missing = problem(() -> integrations.getIntegration(queue.getId(), null));
    return List.of(deleted, missing.getStatus(), missing.getType());
  }

  private List<Object> describe() throws ApiException {
    PbxPut wanted =
        new PbxPut().company("it_w000001").license(PbxLicence.X_BEES).retentionDays(7);
    PbxRecord put = pbxs.putPbx("000000000002", wanted, null, null);
    return List.of(put.getPbx(), put.getLicense(), put.getRetentionDays());
  }
}
