"""Content filters in a running service: who gets an event, and what is said of those who don't."""

from factories import Json, an_event
from support.receivers import receiving
from support.service import Service, Services, eventually

INBOUND: Json = {
    "data": {
        "direction": ["INBOUND"],
        "duration": [{"numeric": [">=", 10]}],
        "flows": {"extension": ["230", {"prefix": "24"}]},
    }
}


def a_call(extension: str, **changes: object) -> Json:
    data = {"direction": "INBOUND", "duration": 12, "flows": [{"extension": extension}]}
    return an_event(type="call:completed", data=data | changes)


async def test_a_filter_chooses_by_content_and_what_it_refuses_is_explained(
    service: Service,
) -> None:
    async with receiving() as receiver:
        everything = await service.an_integration(receiver, events={"analytics": "all"})
        chosen = await service.an_integration(receiver, events={"analytics": "all"}, filter=INBOUND)
        assert (chosen["filter"], everything["filter"]) == (INBOUND, None)
        events = [a_call("241"), a_call("7"), a_call("230", duration=9.5), a_call("230")]

        ids = [(await service.send(events[0]))["eventId"]]
        ids += [each["eventId"] for each in await service.send_batch(events[1:])]

        found = [await service.settled(event_id) for event_id in ids]
        assert [each[everything["id"]]["status"] for each in found] == ["delivered"] * 4
        told = [(each[chosen["id"]]["status"], each[chosen["id"]]["reason"]) for each in found]
        no = ("skipped", "filtered")
        assert told == [("delivered", None), no, no, ("delivered", None)]
        assert len(receiver.requests) == 6


async def test_a_changed_filter_counts_from_the_next_event_in_every_process(
    together: Services,
) -> None:
    first, second = await together.start(), await together.start()
    async with receiving() as receiver:
        made = await first.an_integration(
            receiver, events={"analytics": "all"}, filter={"data": {"direction": ["OUTBOUND"]}}
        )
        path = f"/v1/integrations/{made['id']}"
        assert (await first.send(a_call("1")))["deliveries"] == 0

        patched = await first.api.patch(path, {"filter": INBOUND})
        assert (patched.status_code, patched.json()["filter"]) == (200, INBOUND)
        assert (await second.send(a_call("240")))["deliveries"] == 1
        refused = a_call("9")
        assert (await second.send(refused))["deliveries"] == 0
        assert (await first.send(refused))["duplicate"]

        again = await second.api.patch(path, patched.json())  # as it was read
        assert (again.status_code, again.headers["etag"]) == (200, patched.headers["etag"])

        assert (await second.api.patch(path, {"filter": {}})).json()["filter"] is None
        assert (await first.send(a_call("2")))["deliveries"] == 1

        wrong = await first.api.patch(path, {"filter": {"data": {"direction": [{"prefx": "I"}]}}})
        assert wrong.status_code == 422
        assert [each["path"] for each in wrong.json()["errors"]] == [
            "filter.data.direction[0].prefx"
        ]
        assert (await first.send(a_call("3")))["deliveries"] == 1

        assert await second.command.stop() == 0  # which flushes what it counted

        async def skipped() -> int:
            answer = await first.api.get(f"{path}/stats")
            return sum(each["skipped"] for each in answer.json()["buckets"])

        await eventually(skipped, lambda count: count >= 2)
        assert await skipped() == 2, "one by each process, and no duplicate"


async def test_events_of_any_shape_and_size_meet_any_filter(service: Service) -> None:
    async with receiving() as receiver:
        made = [
            await service.an_integration(
                receiver,
                events={"analytics": "all"},
                filter={"data": {"deep": {"a": [{"exists": False}]}, "mark": [mark]}},
            )
            for mark in ("yes", "no")
        ]
        data: list[Json] = [
            {"mark": "yes", "deep": "\ud800"},
            {"mark": ["no", "yes"], "deep": [[1e-7] * 100] * 8},
            {"mark": ["no", "yes"], "deep": [[1e-7] * 10_000] * 8},  # beyond the steps
            {"mark": [["yes"]], "deep": [{"b": "é" * 50_000}] * 3},
            {"mark": {"yes": "yes"}},
        ]
        receipts = await service.send_batch(
            [an_event(type="call:completed", data=each, time=at) for at, each in enumerate(data)]
        )
        assert [each["status"] for each in receipts] == ["accepted"] * 5
        found = [await service.settled(each["eventId"]) for each in receipts]

        told = [tuple(each[it["id"]]["reason"] for it in made) for each in found]
        neither = ("filtered", "filtered")
        assert told == [(None, "filtered"), (None, None), neither, (None, "filtered"), neither]
