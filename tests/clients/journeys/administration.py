"""What an administrator does with the generated Python client; prints what it saw, as JSON."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta

from hookline_client import AuthenticatedClient
from hookline_client.api.erasures import get_erasure, list_erasures, start_erasure
from hookline_client.api.event_types import (
    delete_event_type,
    list_event_types,
    put_event_type,
)
from hookline_client.api.events import list_events, send_event
from hookline_client.api.filters import try_filter
from hookline_client.api.health import get_liveness, get_metrics, get_readiness
from hookline_client.api.integrations import (
    create_integration,
    delete_integration,
    get_integration_secret,
    list_integrations,
)
from hookline_client.api.keys import create_key, list_keys, revoke_key
from hookline_client.api.pbx_records import delete_pbx, get_pbx, list_pbxs
from hookline_client.api.replays import (
    cancel_replay,
    get_replay,
    list_replays,
    start_replay,
)
from hookline_client.api.system import get_system
from hookline_client.models import (
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyPage,
    CustomEventType,
    Erasure,
    ErasureCreate,
    ErasurePage,
    EventCatalogue,
    EventCreate,
    EventExample,
    EventPage,
    EventReceipt,
    EventSelection,
    EventTypePut,
    FilterTrial,
    FilterTrialRequest,
    Integration,
    IntegrationCreate,
    IntegrationPage,
    KeyState,
    Liveness,
    PbxLicence,
    PbxPage,
    PbxRecord,
    Problem,
    ReadinessReport,
    Replay,
    ReplayCount,
    ReplayCreate,
    ReplayPage,
    Role,
    SigningSecret,
    SystemOverview,
    WebhookTransmissionCreate,
)

PBX = "000000000009"
PARKED = "call:live:parked"


def main() -> None:
    url = os.environ["HOOKLINE"]
    with AuthenticatedClient(base_url=url, token=os.environ["KEY"]) as client:
        seen = {
            "keys": keys(url, client),
            "system": system(client),
            "types": types(client),
            "replays": replays(client),
            "erasures": erasures(client),
            "reads": reads(client),
        }
    sys.stdout.write(json.dumps(seen))


def keys(url: str, client: AuthenticatedClient) -> dict[str, object]:
    until = datetime.now(UTC) + timedelta(hours=1)
    new = ApiKeyCreate(role=Role.MANAGER, pbx=PBX, name="Session", expires_at=until)
    made = create_key.sync(client=client, body=new)
    assert isinstance(made, ApiKeyCreated), made
    with AuthenticatedClient(base_url=url, token=made.key) as session:
        opened = list_integrations.sync(client=session)
        assert isinstance(opened, IntegrationPage), opened
        revoked = revoke_key.sync_detailed(made.id, client=client)
        refused = list_integrations.sync(client=session)
    assert isinstance(refused, Problem), refused
    listed = list_keys.sync(client=client, pbx=PBX, role=Role.MANAGER, state=KeyState.REVOKED)
    assert isinstance(listed, ApiKeyPage), listed
    return {
        "opened": len(opened.items),
        "revoked": int(revoked.status_code),
        "then": refused.type_,
        "listed": [key.name for key in listed.items if key.id == made.id],
    }


def system(client: AuthenticatedClient) -> dict[str, object]:
    found = get_system.sync(client=client)
    assert isinstance(found, SystemOverview), found
    [engine] = found.engines
    return {
        "api": engine.api,
        "current": found.migrations.current == found.migrations.newest,
        "pending": found.backlog.pending,
        "oldestDue": found.oldest_due,
    }


def types(client: AuthenticatedClient) -> dict[str, object]:
    example = EventExample.from_dict(
        {"id": "1", "company": "it_w000009", "time": 1, "type": PARKED, "data": {"slot": 71}}
    )
    sent = EventCreate.from_dict(example.to_dict())
    assert isinstance(send_event.sync(client=client, body=sent), EventReceipt)
    before = list_event_types.sync(client=client, unknown=True)
    assert isinstance(before, EventCatalogue), before
    assert before.unknown
    new = EventTypePut(group="call", title="Parked", example=example)
    added = put_event_type.sync(PARKED, client=client, body=new)
    assert isinstance(added, CustomEventType), added
    after = list_event_types.sync(client=client)
    assert isinstance(after, EventCatalogue), after
    deleted = delete_event_type.sync_detailed(PARKED, client=client)
    return {
        "unknown": [(each.group, each.count) for each in before.unknown if each.name == PARKED],
        "added": [added.group, added.title, added.format_.value, added.built_in],
        "listed": [
            each.name for group in after.groups for each in group.types if not each.built_in
        ],
        "deleted": int(deleted.status_code),
    }


def replays(client: AuthenticatedClient) -> list[object]:
    events = EventSelection()
    events["call"] = "all"
    transmission = WebhookTransmissionCreate(type_="WEBHOOK", url=os.environ["TARGET"])
    new = IntegrationCreate(pbx=PBX, transmission=transmission, events=events)
    integration = create_integration.sync(client=client, body=new)
    assert isinstance(integration, Integration), integration
    since = datetime.now(UTC) - timedelta(hours=1)
    asked = ReplayCreate(since=since, until=since + timedelta(hours=1), missing=True)
    counted = start_replay.sync(integration.id, client=client, body=replace_dry_run(asked))
    assert isinstance(counted, ReplayCount), counted
    job = start_replay.sync(integration.id, client=client, body=asked)
    assert isinstance(job, Replay), job
    cancelled = cancel_replay.sync(job.id, client=client)
    assert isinstance(cancelled, Replay), cancelled
    read = get_replay.sync(job.id, client=client)
    assert isinstance(read, Replay), read
    listed = list_replays.sync(integration.id, client=client)
    assert isinstance(listed, ReplayPage), listed
    assert [each.id for each in listed.items] == [job.id]
    gone = delete_integration.sync_detailed(integration.id, client=client)
    return [counted.total, read.queued, int(gone.status_code)]


def erasures(client: AuthenticatedClient) -> list[object]:
    asked = ErasureCreate(pbx=PBX, subject="nobody")
    job = start_erasure.sync(client=client, body=asked)
    assert isinstance(job, Erasure), job
    read = get_erasure.sync(job.id, client=client)
    assert isinstance(read, Erasure), read
    listed = list_erasures.sync(client=client)
    assert isinstance(listed, ErasurePage), listed
    return [read.pbx, read.subject, job.id in [each.id for each in listed.items]]


def reads(client: AuthenticatedClient) -> dict[str, object]:
    page = list_integrations.sync(client=client, search="crm")
    assert isinstance(page, IntegrationPage), page
    secret = get_integration_secret.sync(page.items[0].id, client=client)
    assert isinstance(secret, SigningSecret), secret
    events = list_events.sync(client=client, subject="two")
    assert isinstance(events, EventPage), events
    return {
        "secret": len(secret.secret),
        "events": [each.subject for each in events.items],
        "filter": try_a_filter(client),
        "pbxs": pbxs(client),
        "health": health(client),
    }


def try_a_filter(client: AuthenticatedClient) -> list[object]:
    event = {"id": "1", "company": "it_w000009", "time": 1, "type": "call:end", "data": {"x": 1}}
    asked = {"filter": {"type": ["call:start"]}, "omit": ["data.x"], "events": [event]}
    found = try_filter.sync(client=client, body=FilterTrialRequest.from_dict(asked))
    assert isinstance(found, FilterTrial), found
    return [found.passing, found.items[0].refused_by]


def pbxs(client: AuthenticatedClient) -> list[object]:
    page = list_pbxs.sync(client=client, license_=PbxLicence.X_BEES)
    assert isinstance(page, PbxPage), page
    serials = [each.pbx for each in page.items]
    read = get_pbx.sync(serials[0], client=client)
    assert isinstance(read, PbxRecord), read
    deleted = delete_pbx.sync_detailed(serials[0], client=client)
    return [serials, read.company, int(deleted.status_code)]


def health(client: AuthenticatedClient) -> list[object]:
    live, ready = get_liveness.sync(client=client), get_readiness.sync(client=client)
    assert isinstance(live, Liveness), live
    assert isinstance(ready, ReadinessReport), ready
    metrics = get_metrics.sync(client=client)
    assert isinstance(metrics, str), metrics
    return [live.status, ready.status, "\n# TYPE hookline_" in metrics]


def replace_dry_run(asked: ReplayCreate) -> ReplayCreate:
    return ReplayCreate(since=asked.since, until=asked.until, missing=asked.missing, dry_run=True)


if __name__ == "__main__":
    main()
