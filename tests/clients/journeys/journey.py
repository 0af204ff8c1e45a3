"""What a user of the generated Python client does in a day; prints what it saw, as JSON."""

import json
import os
import sys
import time
from collections.abc import Iterator
from uuid import UUID

from hookline_client import AuthenticatedClient
from hookline_client.api.deliveries import (
    get_delivery,
    get_integration_statistics,
    get_statistics,
    get_statistics_by_integration,
    list_deliveries,
    retry_delivery,
)
from hookline_client.api.event_types import list_event_types
from hookline_client.api.events import get_event, send_event, send_event_batch
from hookline_client.api.filters import try_filter
from hookline_client.api.integrations import (
    create_integration,
    delete_integration,
    get_integration,
    list_integrations,
    rotate_integration_secret,
    test_integration,
    update_integration,
)
from hookline_client.api.keys import get_current_key
from hookline_client.api.pbx_records import put_pbx
from hookline_client.models import (
    ApiKey,
    BatchReceipt,
    BatchStatus,
    Delivery,
    DeliveryPage,
    DeliveryStatus,
    EventBatchCreate,
    EventCatalogue,
    EventCreate,
    EventData,
    EventReceipt,
    EventRecord,
    EventSelection,
    FilterTrial,
    FilterTrialRequest,
    Integration,
    IntegrationCreate,
    IntegrationPage,
    IntegrationPatch,
    Interval,
    InvalidInputProblem,
    PbxLicence,
    PbxPut,
    PbxRecord,
    Problem,
    SecretRotationRequest,
    SigningSecret,
    SqsTransmission,
    SqsTransmissionCreate,
    Statistics,
    StatisticsByIntegration,
    TestRequest,
    TestResult,
    WebhookTransmission,
    WebhookTransmissionCreate,
)
from hookline_client.types import Unset

PBX = "000000000001"
PATIENCE = 30.0  # seconds


def main() -> None:
    client = AuthenticatedClient(base_url=os.environ["HOOKLINE"], token=os.environ["KEY"])
    with client:
        webhook = create_webhook(client)
        queue = create_queue(client)
        seen = {
            "key": current_role(client),
            "groups": groups(client),
            "accessKeyId": access_key_id(queue),
            "wrong": wrong_fields(client),
            "pages": list(pages(client)),
            "searched": searched(client),
            "secrets": secrets(client, webhook),
            "batch": batch(client),
            "test": send_test(client, webhook),
            "retried": retry(client, webhook),
            "changed": change(client, webhook),
            "after": gone(client, queue),
            "pbx": describe(client),
        }
    sys.stdout.write(json.dumps(seen))


def create_webhook(client: AuthenticatedClient) -> Integration:
    events = EventSelection()
    events["call"] = "all"
    events["analytics"] = ["call:completed"]
    transmission = WebhookTransmissionCreate(type_="WEBHOOK", url=os.environ["TARGET"])
    new = IntegrationCreate(name="CRM", pbx=PBX, transmission=transmission, events=events)
    made = create_integration.sync(client=client, body=new)
    assert isinstance(made, Integration), made
    return made


def create_queue(client: AuthenticatedClient) -> Integration:
    events = EventSelection()
    events["chat"] = "all"
    transmission = SqsTransmissionCreate(
        type_="AWS_SQS",
        url="https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events",
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    new = IntegrationCreate(name="Warehouse", pbx=PBX, transmission=transmission, events=events)
    made = create_integration.sync(client=client, body=new)
    assert isinstance(made, Integration), made
    return made


def current_role(client: AuthenticatedClient) -> str:
    key = get_current_key.sync(client=client)
    assert isinstance(key, ApiKey), key
    return key.role


def groups(client: AuthenticatedClient) -> list[str]:
    catalogue = list_event_types.sync(client=client)
    assert isinstance(catalogue, EventCatalogue), catalogue
    return [group.name for group in catalogue.groups]


def access_key_id(queue: Integration) -> str:
    assert isinstance(queue.transmission, SqsTransmission)
    return queue.transmission.access_key_id


def wrong_fields(client: AuthenticatedClient) -> list[str]:
    transmission = WebhookTransmissionCreate(
        type_="WEBHOOK", url="https://user:word@crm.example.com/hook"
    )
    events = EventSelection()
    events["call"] = ["call:nonsense"]
    new = IntegrationCreate(name="CRM", pbx=PBX, transmission=transmission, events=events)
    problem = create_integration.sync(client=client, body=new)
    assert isinstance(problem, InvalidInputProblem), problem
    return [error.path for error in problem.errors]


def pages(client: AuthenticatedClient) -> Iterator[list[str]]:
    page = list_integrations.sync(client=client, limit=1)
    while True:
        assert isinstance(page, IntegrationPage), page
        yield [integration.name for integration in page.items]
        if page.next_ is None:
            return
        page = list_integrations.sync(client=client, limit=1, cursor=page.next_)


def searched(client: AuthenticatedClient) -> list[str]:
    page = list_integrations.sync(client=client, search="wareH")
    assert isinstance(page, IntegrationPage), page
    return [integration.name for integration in page.items]


def secrets(client: AuthenticatedClient, webhook: Integration) -> dict[str, bool]:
    assert isinstance(webhook.transmission, WebhookTransmission)
    first = webhook.transmission.secret
    rotation = SecretRotationRequest(grace_period_hours=1)
    rotated = rotate_integration_secret.sync(webhook.id, client=client, body=rotation)
    assert isinstance(rotated, SigningSecret), rotated
    return {
        "shownOnce": not isinstance(first, Unset) and len(first) == 32,
        "replaced": rotated.secret != first,
        "oldSignsAlong": rotated.old_secret_until is not None,
    }


def an_event(call: str, **rest: object) -> EventCreate:
    data = EventData.from_dict({"direction": "inbound", **rest})
    return EventCreate(
        id=call,
        pbx=PBX,
        company="it_w000001",
        time=1721836787753,
        type_="call:completed",
        data=data,
    )


def batch(client: AuthenticatedClient) -> list[str]:
    events = [an_event("one"), an_event("one"), an_event("")]
    receipt = send_event_batch.sync(client=client, body=EventBatchCreate(events=events))
    assert isinstance(receipt, BatchReceipt), receipt
    told = []
    for result in receipt.results:
        match result.status:
            case BatchStatus.INVALID:
                assert not isinstance(result.error, Unset)
                told.append(f"invalid: {result.error.type_}")
            case BatchStatus.ACCEPTED | BatchStatus.DUPLICATE:
                assert isinstance(result.event_id, UUID)
                told.append(result.status.value)
    return told


def send_test(client: AuthenticatedClient, webhook: Integration) -> list[object]:
    result = test_integration.sync(webhook.id, client=client, body=TestRequest("call:completed"))
    assert isinstance(result, TestResult), result
    sent = result.headers.additional_properties
    return [result.attempt.outcome.value, result.attempt.status_code, sent["webhook-attempt"]]


def retry(client: AuthenticatedClient, webhook: Integration) -> dict[str, object]:
    receipt = send_event.sync(client=client, body=an_event("two"))
    assert isinstance(receipt, EventReceipt), receipt
    record = get_event.sync(receipt.event_id, client=client)
    assert isinstance(record, EventRecord), record
    [identifier] = [each.delivery_id for each in record.outcomes if each.delivery_id is not None]
    first = delivered(client, identifier, attempts=1)
    again = retry_delivery.sync(first.id, client=client)
    assert isinstance(again, Delivery), again
    last = delivered(client, identifier, attempts=2)
    count(client, webhook)
    try_a_filter(client, webhook)
    follow(client, webhook)
    listed = list_deliveries.sync(
        client=client, integration_id=webhook.id, status=[DeliveryStatus.DELIVERED]
    )
    assert isinstance(listed, DeliveryPage), listed
    return {
        "status": last.status.value,
        "attempts": [attempt.outcome.value for attempt in last.attempts],
        "listed": last.id in {delivery.id for delivery in listed.items},
    }


def delivered(client: AuthenticatedClient, identifier: UUID, *, attempts: int) -> Delivery:
    """Ask until so many attempts have ended."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = get_delivery.sync(identifier, client=client)
        assert isinstance(found, Delivery), found
        if found.status is DeliveryStatus.DELIVERED and len(found.attempts) >= attempts:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"{identifier} was not delivered within {PATIENCE} seconds")


def count(client: AuthenticatedClient, webhook: Integration) -> None:
    """Read how deliveries went: what was delivered twice by hand has ended twice."""
    of_one = get_integration_statistics.sync(webhook.id, client=client)
    of_all = get_statistics.sync(client=client, pbx=PBX, interval=Interval.DAY)
    for found in (of_one, of_all):
        assert isinstance(found, Statistics), found
        assert sum(bucket.delivered for bucket in found.buckets) >= 2
        assert any(bucket.attempt_ms.p50 is not None for bucket in found.buckets)
    each = get_statistics_by_integration.sync(client=client, integration_id=[webhook.id])
    assert isinstance(each, StatisticsByIntegration), each
    assert sum(each.items[0].delivered) >= 2


def try_a_filter(client: AuthenticatedClient, webhook: Integration) -> None:
    """See which of the integration's events a filter would let pass, and what their copies hold."""
    asked = {"filter": {"type": ["call:start"]}, "omit": ["data.x"], "integrationId": webhook.id}
    found = try_filter.sync(client=client, body=FilterTrialRequest.from_dict(asked))
    assert isinstance(found, FilterTrial), found
    assert found.items
    assert found.passing == sum(each.passes for each in found.items)
    assert all(each.refused_by == "type" for each in found.items if not each.passes)


def follow(client: AuthenticatedClient, webhook: Integration) -> None:
    """Read along until a delivery has ended; the stream's lines are read with the same client."""
    query = {"integrationId": webhook.id}
    with client.get_httpx_client().stream("GET", "/v1/stream", params=query) as response:
        lines = response.iter_lines()
        while not next(lines).startswith("id: "):  # from here on it reads along
            continue
        send_event.sync(client=client, body=an_event("stream"))
        data = next(line for line in lines if line.startswith("data: "))
    ended = Delivery.from_dict(json.loads(data.removeprefix("data: ")))
    assert (ended.integration_id, ended.status) == (webhook.id, DeliveryStatus.DELIVERED), ended


def change(client: AuthenticatedClient, webhook: Integration) -> list[object]:
    read = get_integration.sync_detailed(webhook.id, client=client)
    changes = IntegrationPatch(enabled=False, rate_limit=5.0)
    tag = read.headers["etag"]
    changed = update_integration.sync(webhook.id, client=client, body=changes, if_match=tag)
    assert isinstance(changed, Integration), changed
    stale = update_integration.sync(webhook.id, client=client, body=changes, if_match=tag)
    assert isinstance(stale, Problem), stale
    assert changed.health.disabled_reason
    return [changed.enabled, changed.rate_limit, changed.health.disabled_reason.value, stale.type_]


def gone(client: AuthenticatedClient, queue: Integration) -> list[object]:
    deleted = delete_integration.sync_detailed(queue.id, client=client)
    missing = get_integration.sync(queue.id, client=client)
    assert isinstance(missing, Problem), missing
    return [int(deleted.status_code), missing.status, missing.type_]


def describe(client: AuthenticatedClient) -> list[object]:
    body = PbxPut(company="it_w000001", license_=PbxLicence.X_BEES, retention_days=7)
    put = put_pbx.sync("000000000002", client=client, body=body)
    assert isinstance(put, PbxRecord), put
    return [put.pbx, put.license_.value, put.retention_days]


if __name__ == "__main__":
    main()
