// What an administrator does with the generated Java client, and what else it can read.

import hookline.client.ApiClient;
import hookline.client.ApiException;
import hookline.client.api.DeliveriesApi;
import hookline.client.api.ErasuresApi;
import hookline.client.api.EventTypesApi;
import hookline.client.api.EventsApi;
import hookline.client.api.FiltersApi;
import hookline.client.api.HealthApi;
import hookline.client.api.IntegrationsApi;
import hookline.client.api.KeysApi;
import hookline.client.api.PbxRecordsApi;
import hookline.client.api.ReplaysApi;
import hookline.client.api.SystemApi;
import hookline.client.model.ApiKey;
import hookline.client.model.ApiKeyCreate;
import hookline.client.model.ApiKeyCreated;
import hookline.client.model.CustomEventType;
import hookline.client.model.Erasure;
import hookline.client.model.ErasureCreate;
import hookline.client.model.EventCreate;
import hookline.client.model.EventSummary;
import hookline.client.model.EventTypeDescription;
import hookline.client.model.EventTypePut;
import hookline.client.model.FilterTrial;
import hookline.client.model.FilterTrialRequest;
import hookline.client.model.Integration;
import hookline.client.model.Interval;
import hookline.client.model.KeyState;
import hookline.client.model.PbxLicence;
import hookline.client.model.PbxRecord;
import hookline.client.model.Replay;
import hookline.client.model.ReplayCount;
import hookline.client.model.ReplayCreate;
import hookline.client.model.Role;
import hookline.client.model.Statistics;
import hookline.client.model.StatisticsBucket;
import hookline.client.model.SystemOverview;
import java.time.OffsetDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The calls that Journey leaves out. */
final class Administration {
  private static final String OTHER_PBX = "000000000009";
  private static final String PARKED = "call:live:parked";

  private final ApiClient client;
  private final IntegrationsApi integrations;
  private final DeliveriesApi deliveries;
  private final ErasuresApi erasures;
  private final EventTypesApi eventTypes;
  private final EventsApi events;
  private final KeysApi keys;
  private final PbxRecordsApi pbxs;
  private final ReplaysApi replays;

  Administration(ApiClient client) {
    this.client = client;
    integrations = new IntegrationsApi(client);
    deliveries = new DeliveriesApi(client);
    erasures = new ErasuresApi(client);
    eventTypes = new EventTypesApi(client);
    events = new EventsApi(client);
    keys = new KeysApi(client);
    pbxs = new PbxRecordsApi(client);
    replays = new ReplaysApi(client);
  }

  /** Does all of it and adds what it saw. */
  void administer(Map<String, Object> seen, Integration webhook) throws Exception {
    seen.put("keys", mintAndRevoke());
    seen.put("system", system());
    seen.put("types", types());
    seen.put("replays", replay());
    seen.put("erasures", erase());
    seen.put("reads", reads(webhook));
  }

  private Map<String, Object> mintAndRevoke() throws Exception {
    ApiKeyCreate wanted =
        new ApiKeyCreate()
            .role(Role.MANAGER)
            .pbx(OTHER_PBX)
            .name("Session")
            .expiresAt(OffsetDateTime.now().plusHours(1));
    ApiKeyCreated made = keys.createKey(wanted);
    ApiClient session = new ApiClient(client.getHttpClient());
    session.setBasePath(client.getBasePath());
    session.setBearerToken(made.getKey());
    IntegrationsApi theirs = new IntegrationsApi(session);
    int opened = theirs.listIntegrations(null, null, null, null, null, null, null).getItems().size();
    int revoked = keys.revokeKeyWithHttpInfo(made.getId()).getStatusCode();
    String then =
        Journey.problem(() -> theirs.listIntegrations(null, null, null, null, null, null, null))
            .getType();
    List<String> listed =
        keys.listKeys(Role.MANAGER, OTHER_PBX, null, KeyState.REVOKED, null, null)
            .getItems()
            .stream()
            .filter(key -> key.getId().equals(made.getId()))
            .map(ApiKey::getName)
            .toList();
    return Map.of("opened", opened, "revoked", revoked, "then", then, "listed", listed);
  }

  private Map<String, Object> system() throws ApiException {
    SystemOverview found = new SystemApi(client).getSystem();
    String newest = found.getMigrations().getNewest();
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("api", found.getEngines().get(0).getApi());
    seen.put("current", newest.equals(found.getMigrations().getCurrent()));
    seen.put("pending", found.getBacklog().getPending());
    seen.put("oldestDue", found.getOldestDue());
    return seen;
  }

  private Map<String, Object> types() throws ApiException {
    Map<String, Object> data = Map.of("slot", 71);
    events.sendEvent(
        new EventCreate().id("1").company("it_w000009").time(1L).type(PARKED).data(data));
    List<List<Object>> unknown =
        eventTypes.listEventTypes(true).getUnknown().stream()
            .filter(each -> each.getName().equals(PARKED))
            .map(each -> List.<Object>of(each.getGroup(), each.getCount()))
            .toList();
    Map<String, Object> example =
        Map.of("id", "1", "company", "it_w000009", "time", 1, "type", PARKED, "data", data);
    EventTypePut wanted = new EventTypePut().group("call").title("Parked").example(example);
    CustomEventType added = eventTypes.putEventType(PARKED, wanted);
    List<String> listed =
        eventTypes.listEventTypes(null).getGroups().stream()
            .flatMap(group -> group.getTypes().stream())
            .filter(each -> !each.getBuiltIn())
            .map(EventTypeDescription::getName)
            .toList();
    int deleted = eventTypes.deleteEventTypeWithHttpInfo(PARKED).getStatusCode();
    return Map.of(
        "unknown", unknown,
        "added",
            List.of(added.getGroup(), added.getTitle(), added.getFormat(), added.getBuiltIn()),
        "listed", listed,
        "deleted", deleted);
  }

  private List<Object> replay() throws ApiException {
    Integration integration =
        integrations.createIntegration(
            Journey.webhookAt(System.getenv("TARGET")).pbx(OTHER_PBX).putEventsItem("call", "all"),
            null);
    OffsetDateTime until = OffsetDateTime.now();
    ReplayCreate asked =
        new ReplayCreate().since(until.minusHours(1)).until(until).missing(true);
    Replay job = replays.startReplay(integration.getId(), asked).getReplay();
    replays.cancelReplay(job.getId());
    Replay read = replays.getReplay(job.getId());
    List<Replay> listed = replays.listReplays(integration.getId(), null, null).getItems();
    if (listed.size() != 1 || !listed.get(0).getId().equals(job.getId())) {
      throw new AssertionError("The replay is not listed.");
    }
    ReplayCount counted =
        replays.startReplay(integration.getId(), asked.dryRun(true)).getReplayCount();
    int deleted =
        integrations.deleteIntegrationWithHttpInfo(integration.getId(), null).getStatusCode();
    return List.of(counted.getTotal(), read.getQueued(), deleted);
  }

  private List<Object> erase() throws ApiException {
    Erasure job = erasures.startErasure(new ErasureCreate().pbx(OTHER_PBX).subject("nobody"));
    Erasure read = erasures.getErasure(job.getId());
    boolean listed =
        erasures.listErasures(null, null).getItems().stream()
            .anyMatch(each -> each.getId().equals(job.getId()));
    return List.of(read.getPbx(), read.getSubject(), listed);
  }

  private Map<String, Object> reads(Integration webhook) throws ApiException {
    String secret = integrations.getIntegrationSecret(webhook.getId()).getSecret();
    List<String> subjects =
        events
            .listEvents(webhook.getPbx(), null, "call:completed", null, null, null, null, null)
            .getItems()
            .stream()
            .map(EventSummary::getSubject)
            .toList();
    return Map.of(
        "secret", secret.length(),
        "events", subjects,
        "statistics", statistics(webhook),
        "filter", tryFilter(),
        "pbxs", records(),
        "health", health());
  }

  /** Tells whether what was delivered twice by hand has ended twice. */
  private List<Boolean> statistics(Integration webhook) throws ApiException {
    String id = webhook.getId();
    Statistics ofOne = deliveries.getIntegrationStatistics(id, null, null, null);
    Statistics ofAll = deliveries.getStatistics(webhook.getPbx(), null, null, null, Interval.DAY);
    List<Integer> counts =
        deliveries
            .getStatisticsByIntegration(List.of(id), null, null, null)
            .getItems()
            .get(0)
            .getDelivered();
    return List.of(
        delivered(ofOne) >= 2,
        delivered(ofAll) >= 2,
        counts.stream().mapToInt(Integer::intValue).sum() >= 2);
  }

  private static int delivered(Statistics found) {
    return found.getBuckets().stream().mapToInt(StatisticsBucket::getDelivered).sum();
  }

  private List<Object> tryFilter() throws ApiException {
    Map<String, Object> event =
        Map.of("id", "1", "company", "it_w000009", "time", 1, "type", "call:end", "data",
            Map.of("x", 1));
    FilterTrialRequest wanted =
        new FilterTrialRequest()
            .filter(Map.of("type", List.of("call:start")))
            .omit(List.of("data.x"))
            .events(List.of(event));
    FilterTrial found = new FiltersApi(client).tryFilter(wanted);
    return List.of(found.getPassing(), found.getItems().get(0).getRefusedBy());
  }

  private List<Object> records() throws ApiException {
    List<String> serials =
        pbxs.listPbxs(null, PbxLicence.X_BEES, null, null, null).getItems().stream()
            .map(PbxRecord::getPbx)
            .toList();
    PbxRecord read = pbxs.getPbx(serials.get(0), null);
    int deleted = pbxs.deletePbxWithHttpInfo(serials.get(0), null).getStatusCode();
    return List.of(serials, read.getCompany(), deleted);
  }

  private List<Object> health() throws ApiException {
    HealthApi health = new HealthApi(client);
    return List.of(
        health.getLiveness().getStatus(),
        health.getReadiness().getStatus(),
        health.getMetrics().contains("\n# TYPE hookline_"));
  }
}
