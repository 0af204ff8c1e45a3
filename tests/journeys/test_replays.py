"""Replays through running services: a dead process in the middle, and live events meanwhile."""

from collections import Counter

from factories import Json, an_event
from support.receivers import Received, Receiver, answering, receiving, status
from support.service import PATIENCE, Service, Services, eventually

EVENTS = 700
SOON = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1"}  # seconds: a dead process's leases end in 3
PERIOD = {"since": "2000-01-01T00:00:00Z", "until": "2126-01-01T00:00:00Z"}


def numbered(number: int) -> Json:
    return an_event(id=f"call-{number}", data={"number": number})


async def replay(service: Service, integration: Json, **asked: object) -> Json:
    path = f"/v1/integrations/{integration['id']}/replays"
    accepted = (await service.read("/v1/events?limit=1"))["items"][0]["acceptedAt"]
    since = accepted.replace(accepted[11:], "00:00:00Z")
    answer = await service.api.post(path, PERIOD | {"since": since} | asked)
    assert answer.status_code in {200, 202}, answer.text
    job: Json = answer.json()
    return job


async def until_failed(service: Service, count: int) -> None:
    async def failed() -> int:
        total, path = 0, "/v1/deliveries?status=failed&limit=200"
        page = await service.read(path)
        total = len(page["items"])
        while page["next"] is not None:
            page = await service.read(f"{path}&cursor={page['next']}")
            total += len(page["items"])
        return total

    await eventually(failed, lambda total: total == count)


def replayed(receiver: Receiver, job: Json) -> list[Received]:
    return [r for r in receiver.requests if r.headers.get("x-hookline-replay") == job["id"]]


async def test_a_replay_outlives_its_process_and_sends_each_event_once(together: Services) -> None:
    async with receiving(answering(status(404))) as receiver:
        service = await together.start(**SOON)
        integration = await service.an_integration(receiver)
        await service.send_batch([numbered(number) for number in range(EVENTS)])
        await until_failed(service, EVENTS)
        originals = {request.body: request for request in receiver.requests}
        receiver.behaviour = answering(status(200))

        counted = await replay(service, integration, statuses=["failed"], dryRun=True)
        assert (counted["total"], counted["complete"]) == (EVENTS, True)
        job = await replay(service, integration, statuses=["failed"])
        await receiver.until_asked(EVENTS + 150, within=PATIENCE)
        await service.kill()

        again = await together.start(**SOON)
        live = await again.send(numbered(EVENTS))
        job = await eventually(
            lambda: again.read(f"/v1/replays/{job['id']}"),
            lambda found: found["finishedAt"] is not None,
        )
        counts = [job[name] for name in ("total", "queued", "delivered", "failed", "skipped")]
        assert (job["state"], counts) == ("done", [EVENTS, EVENTS, EVENTS, 0, 0])

        copies = replayed(receiver, job)
        by_event = Counter((copy.body, copy.headers["webhook-id"]) for copy in copies)
        assert {body for body, _ in by_event} == set(originals), "the original bytes"
        assert len(by_event) == EVENTS, "one delivery of each event"
        new = {identifier for _, identifier in by_event}
        assert not new & {request.headers["webhook-id"] for request in originals.values()}
        one = await again.read(f"/v1/deliveries/{new.pop()}")
        assert (one["replay"], one["status"]) == (job["id"], "delivered")
        delivery = await again.settled_delivery(live["eventId"])
        assert (delivery["replay"], delivery["status"]) == (None, "delivered")


async def test_what_a_replay_queues_is_sent_without_waiting_for_a_poll(together: Services) -> None:
    async with receiving(answering(status(200))) as receiver:
        service = await together.start(POLL_INTERVAL="60")
        integration = await service.an_integration(receiver)
        await service.send_batch([numbered(number) for number in range(EVENTS)])
        await receiver.until_asked(EVENTS, within=PATIENCE)
        job = await replay(service, integration)
        done = await eventually(
            lambda: service.read(f"/v1/replays/{job['id']}"),
            lambda found: found["finishedAt"] is not None,
        )
        assert (done["state"], done["delivered"]) == ("done", EVENTS)
