"""What a receiver's answer leads to, from the first attempt to what the API tells afterwards."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from factories import Json, an_event
from support.databases import Databases
from support.receivers import OK, Received, answering, receiving, status
from support.service import PATIENCE, Service, eventually, services


@pytest.fixture(scope="module")
async def running(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """One service for all tests here, whose retries come at once."""
    folder = tmp_path_factory.mktemp("retries")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as opened:
        yield await opened.start(RETRY_DELAYS="0.05,0.05,0.05")


@pytest.fixture
async def service(running: Service) -> AsyncIterator[Service]:
    """That service, in which a test's integrations are the only ones."""
    yield running
    for each in (await running.read("/v1/integrations"))["items"]:
        await running.api.delete(f"/v1/integrations/{each['id']}")


_numbers = count(1)


def another_event() -> Json:
    return an_event(id=f"call-{next(_numbers)}")


def sent_bytes(request: Received) -> tuple[object, ...]:
    """Return what every attempt of a delivery has in common."""
    return request.body, request.headers["webhook-id"], request.headers["x-signature"]


async def test_a_receiver_that_recovers_gets_the_same_bytes_again(service: Service) -> None:
    async with receiving(answering(status(503, body=b"not yet"), OK)) as receiver:
        await service.an_integration(receiver)

        sent = await service.send(another_event())
        delivery = await service.settled_delivery(sent["eventId"])

        first, second = receiver.requests
        assert sent_bytes(first) == sent_bytes(second)
        assert delivery["status"] == "delivered"
        reasons = [
            (each.headers["webhook-attempt"], each.headers.get("webhook-retry-reason"))
            for each in receiver.requests
        ]
        assert reasons == [("1", None), ("2", "status")]
        told = [
            (each["number"], each["outcome"], each["statusCode"], each["responseBody"])
            for each in delivery["attempts"]
        ]
        assert told == [(1, "retry", 503, "not yet"), (2, "delivered", 200, "ok")]


async def test_a_receiver_that_answers_in_imperfect_http_gets_one_copy_and_its_log_says_what_was(
    service: Service,
) -> None:
    old_camera = b"HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nok"
    async with receiving(answering(old_camera)) as receiver:
        integration = await service.an_integration(receiver)

        sent = await service.send(another_event())
        delivery = await service.settled_delivery(sent["eventId"])
        test = {"type": "call:completed"}
        tested = await service.api.post(f"/v1/integrations/{integration['id']}/test", test)

        assert delivery["status"] == "delivered"
        for attempt in (*delivery["attempts"], tested.json()["attempt"]):
            assert attempt["outcome"] == "delivered"
            assert (attempt["statusCode"], attempt["responseBody"]) == (200, "ok")
            assert attempt["responseDefect"] == "line_ends"
        assert [request.connection for request in receiver.requests] == [1, 2]


async def test_a_receiver_that_stays_down_gets_four_attempts(service: Service) -> None:
    async with receiving(answering(status(500))) as receiver:
        await service.an_integration(receiver)

        sent = await service.send(another_event())
        delivery = await service.settled_delivery(sent["eventId"])

        assert (delivery["status"], delivery["reason"]) == ("failed", "exhausted")
        assert len(delivery["attempts"]) == len(receiver.requests) == 4
        assert len(set(map(sent_bytes, receiver.requests))) == 1


async def test_a_refusal_fails_at_once_and_can_be_tried_again_by_hand(service: Service) -> None:
    async with receiving(answering(status(404), OK)) as receiver:
        await service.an_integration(receiver)

        sent = await service.send(another_event())
        delivery = await service.settled_delivery(sent["eventId"])
        assert (delivery["status"], delivery["reason"]) == ("failed", "rejected")
        assert len(receiver.requests) == 1

        answer = await service.api.post(f"/v1/deliveries/{delivery['id']}/retry")
        assert answer.status_code == 202
        delivery = await service.settled_delivery(sent["eventId"])
        assert (delivery["status"], len(delivery["attempts"])) == ("delivered", 2)


async def test_a_body_that_is_too_large_fails_with_its_size_and_what_to_do(
    service: Service,
) -> None:
    async with receiving(answering(status(413), OK)) as receiver:
        await service.an_integration(receiver)

        sent = await service.send(another_event())
        delivery = await service.settled_delivery(sent["eventId"])
        assert (delivery["status"], delivery["reason"]) == ("failed", "too_large")
        [attempt] = delivery["attempts"]
        assert f"has {len(receiver.requests[0].body):,} bytes" in attempt["hint"]
        assert "`omit`" in attempt["hint"]

        assert (await service.api.post(f"/v1/deliveries/{delivery['id']}/retry")).is_success
        await service.settled_delivery(sent["eventId"])
        by_hand = receiver.requests[1].headers
        assert (by_hand["webhook-attempt"], by_hand["webhook-retry-reason"]) == ("2", "too_large")


async def test_gone_disables_the_integration_until_it_is_enabled_again(service: Service) -> None:
    async with receiving(answering(status(410), OK)) as receiver:
        integration = await service.an_integration(receiver)
        path = f"/v1/integrations/{integration['id']}"

        sent = await service.send(another_event())
        delivery = await service.settled_delivery(sent["eventId"])
        assert (delivery["status"], delivery["reason"]) == ("failed", "gone")
        disabled = await eventually(lambda: service.read(path), lambda it: not it["enabled"])
        assert disabled["health"]["disabledReason"] == "gone"
        late = await service.send(another_event())
        assert (await service.outcomes(late["eventId"]))[integration["id"]]["reason"] == "disabled"

        await service.api.patch(path, {"enabled": True})
        back = await service.send(another_event())
        assert (await service.settled_delivery(back["eventId"]))["status"] == "delivered"
        assert (await service.read(path))["health"]["state"] == "healthy"
        assert len(receiver.requests) == 2


async def test_retry_after_postpones_the_retry_and_no_other_integration(service: Service) -> None:
    asked = answering(status(429, "retry-after: 1800"), OK)
    async with receiving(asked) as busy, receiving() as quick:
        postponed = await service.an_integration(busy)
        other = await service.an_integration(quick)
        before = datetime.now(UTC)

        sent = await service.send(another_event())
        await quick.until_asked(1, within=PATIENCE)
        outcome = (await service.outcomes(sent["eventId"]))[postponed["id"]]
        delivery = await eventually(
            lambda: service.read(f"/v1/deliveries/{outcome['deliveryId']}"),
            lambda it: bool(it["attempts"]),
        )

        due = datetime.fromisoformat(delivery["nextAttemptAt"])
        assert delivery["status"] == "pending"
        assert due > before + timedelta(seconds=1800)
        await service.api.post(f"/v1/deliveries/{delivery['id']}/retry")
        outcomes = await service.settled(sent["eventId"])
        assert {outcomes[each["id"]]["status"] for each in (postponed, other)} == {"delivered"}
        assert (len(busy.requests), len(quick.requests)) == (2, 1)


async def test_what_waits_for_a_deleted_integration_ends_as_skipped_at_once(
    service: Service,
) -> None:
    async with receiving(answering(status(503, "retry-after: 600"))) as receiver:
        integration = await service.an_integration(receiver)
        sent = await service.send(another_event())
        await eventually(
            lambda: service.delivery(sent["eventId"]), lambda it: len(it["attempts"]) == 1
        )

        deleted = await service.api.delete(f"/v1/integrations/{integration['id']}")
        assert deleted.status_code == 204

        delivery = await service.settled_delivery(sent["eventId"])
        assert (delivery["status"], delivery["reason"]) == ("skipped", "deleted")
        assert len(receiver.requests) == 1
