"""The engine from claim to settlement, on the real queue, against targets that do as told."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from hookline.domain.deliveries import Sent, Verdict
from hookline.queue.port import Appended, Claimed
from hookline.sinks import Shipment
from support.engine_steps import DELIVERED, born, stored_for
from support.queue_contract import REVISION, a_delivery, an_event
from support.scripted_engine import Store, Worker
from support.sink_script import Book, Script, after, in_turn, sent


class TestDelivering:
    async def test_what_waits_is_found_by_polling_and_delivered_once(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        ids = await store.add("crm", 20)
        async with worker.running():
            assert await store.until_ended("crm", 20) == dict.fromkeys(ids, DELIVERED)
        assert sorted(sink.to("crm")) == sorted(ids)
        assert (worker.lanes.held, worker.lanes.bytes_held) == (0, 0)

    async def test_thousands_of_deliveries_to_many_targets_by_two_workers_are_made_once(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script
    ) -> None:
        workers = [a_worker(), a_worker()]
        ids = []
        for number in range(50):
            ids += await store.add(f"int{number:03}", 60)
        async with workers[0].running(), workers[1].running():
            await sink.until_sent(3_000)
            for number in range(50):
                ended = await store.until_ended(f"int{number:03}", 60)
                assert set(ended.values()) == {DELIVERED}
        assert Counter(shipment.delivery_id for shipment in sink.shipments) == Counter(ids)
        assert all(worker.queue.calls["settle"] for worker in workers)

    async def test_a_claim_never_takes_more_than_there_is_room_for(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        await store.add("crm", 300)
        async with worker.running():
            await sink.until_sent(300)
            await store.until_ended("crm", 300)
        assert worker.queue.claimed
        assert all(got <= lane.room for lane, got in worker.queue.claimed)

    async def test_an_attempt_that_took_more_than_usual_is_told_to_the_pace(
        self, store: Store, worker: Worker, sink: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[tuple[str, float]] = []
        monkeypatch.setattr(worker.lanes.pace, "charge", lambda *spent: told.append(spent))

        async def costly(_shipment: Shipment) -> Sent:
            return replace(sent(), spent=0.5)

        sink.answers["costly"] = costly
        await store.add("costly")
        await store.add("crm")
        async with worker.running():
            await store.until_ended("costly", 1)
            await store.until_ended("crm", 1)
        assert told == [("costly", 0.5)]

    async def test_no_more_are_in_flight_than_the_integration_allows(
        self, store: Store, worker: Worker, sink: Script, book: Book
    ) -> None:
        book.change("crm", max_in_flight=3)
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        await store.add("crm", 30)
        async with worker.running():
            await sink.until_sent(3)
            await worker.queue.until_called("waiting", 2)
            assert worker.lanes.in_flight() == {"crm": 3}
            assert len(sink.shipments) == 3
            answered.set()
            await store.until_ended("crm", 30)

    async def test_a_target_that_hangs_costs_only_itself(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        never = asyncio.Event()
        for number in range(10):
            sink.answers[f"hangs{number}"] = after(never)
            await store.add(f"hangs{number}", 100)
        await store.add("well", 200)
        async with worker.running():
            assert set((await store.until_ended("well", 200)).values()) == {DELIVERED}
            for number in range(10):
                assert await store.ended(f"hangs{number}") == {}
            never.set()

    async def test_an_integration_that_is_newer_than_the_snapshot_is_not_a_deleted_one(
        self, store: Store, worker: Worker, book: Book
    ) -> None:
        book.known_from["newborn"] = 1
        book.revision = 0
        ids = await store.add("newborn", 3)
        async with worker.running():
            assert await store.until_ended("newborn", 3) == dict.fromkeys(ids, DELIVERED)
        assert book.caught_up == [0]

    async def test_an_ordered_lane_delivers_one_after_another_without_waiting_for_polls(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script, book: Book
    ) -> None:
        book.change("fifo", ordered=True)
        ids = await store.add("fifo", 25, ordered=True)
        worker = a_worker(poll_interval=3600.0)
        async with worker.running():
            await store.until_ended("fifo", 25)
        assert sink.to("fifo") == ids
        assert worker.queue.calls["waiting"] == 1


class TestRetries:
    async def test_a_retry_that_is_due_later_is_made_with_the_same_bytes(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script
    ) -> None:
        sink.answers["crm"] = in_turn(Verdict.RETRY, Verdict.RETRY, Verdict.DELIVERED)
        [delivery] = await store.add("crm")
        worker = a_worker(delays=(0.05, 0.1), poll_interval=3600.0)
        async with worker.running():
            assert await store.until_ended("crm", 1) == {delivery: ("delivered", None, 3)}
        assert len({(s.delivery_id, s.body) for s in sink.shipments}) == 1
        assert worker.queue.calls["waiting"] == 1, "the engine knows when its own retry is due"

    async def test_what_is_exhausted_has_failed_and_its_attempts_are_kept(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        sink.answers["crm"] = in_turn(Verdict.RETRY)
        [delivery] = await store.add("crm")
        async with worker.running():
            assert await store.until_ended("crm", 1) == {delivery: ("failed", "exhausted", 3)}
        rows = await store.pool.fetch("select number, outcome from attempts order by number")
        assert [tuple(row) for row in rows] == [(1, "retry"), (2, "retry"), (3, "failed")]

    async def test_one_more_attempt_by_hand_is_one(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        sink.answers["crm"] = in_turn(Verdict.REJECTED, Verdict.RETRY)
        [delivery] = await store.add("crm")
        async with worker.running():
            assert await store.until_ended("crm", 1) == {delivery: ("failed", "rejected", 1)}
            assert await store.queue.retry(delivery, ordered=False)
            worker.engine.poll_soon()
            await sink.until_sent(2)
            async with asyncio.timeout(30):
                while await store.ended("crm") != {delivery: ("failed", "exhausted", 2)}:
                    pass


class TestHandOver:
    async def test_what_is_born_leased_starts_without_a_claim(
        self, store: Store, worker: Worker
    ) -> None:
        event = an_event("born")
        delivery = a_delivery(event, "crm", leased=True)
        assert worker.lanes.reserve("crm", len(event.event.payload))
        queue = worker.queue
        assert isinstance(await queue.append([event], [delivery], revision=REVISION), Appended)
        async with worker.running():
            worker.engine.take([born(worker, delivery, event)], worker.lanes.clock())
            assert await store.until_ended("crm", 1) == {delivery.id: DELIVERED}
        assert queue.calls["claim"] == 0
        assert worker.lanes.held == 0

    async def test_what_another_process_stored_for_it_starts_without_a_claim(
        self, store: Store, worker: Worker
    ) -> None:
        async with worker.running():
            asked_at = worker.lanes.clock()
            [job] = await stored_for(worker, store, 1)
            assert await worker.engine.take_handed([job], asked_at) == []
            assert await store.until_ended("crm", 1) == {job.id: DELIVERED}
        assert worker.queue.calls["claim"] == worker.queue.calls["release"] == 0
        assert worker.lanes.held == 0

    async def test_what_it_is_handed_and_has_no_room_for_waits_in_its_place(
        self, store: Store, worker: Worker, sink: Script, book: Book
    ) -> None:
        book.change("crm", max_in_flight=1)
        async with worker.running():
            asked_at = worker.lanes.clock()
            jobs = await stored_for(worker, store, 20)
            assert await worker.engine.take_handed(jobs, asked_at) == ["crm"]
            await store.until_ended("crm", 20)
        assert sink.to("crm") == [job.id for job in jobs]
        assert worker.queue.calls["release"]
        assert worker.lanes.held == 0

    async def test_what_it_is_handed_does_not_overtake_a_claim_that_is_under_way(
        self, store: Store, worker: Worker, sink: Script, book: Book
    ) -> None:
        book.change("crm", max_in_flight=1)
        [first] = await store.add("crm")
        worker.queue.answers.clear()
        async with worker.running():
            await worker.queue.claims_made.wait()
            asked_at = worker.lanes.clock()
            jobs = await stored_for(worker, store, 1)
            handed = asyncio.create_task(worker.engine.take_handed(jobs, asked_at))
            await asyncio.sleep(0)
            worker.queue.answers.set()
            assert await handed == []
            await store.until_ended("crm", 2)
        assert sink.to("crm") == [first, jobs[0].id]

    async def test_what_it_is_handed_does_not_overtake_what_it_released_meanwhile(
        self, store: Store, worker: Worker, sink: Script, book: Book
    ) -> None:
        book.change("crm", max_in_flight=1)
        async with worker.running():
            asked_at = worker.lanes.clock()
            jobs = await stored_for(worker, store, 21)
            assert await worker.engine.take_handed(jobs[:-1], asked_at) == ["crm"]
            assert await worker.engine.take_handed(jobs[-1:], asked_at) == ["crm"]
            await store.until_ended("crm", 21)
        assert sink.to("crm") == [job.id for job in jobs]

    async def test_large_ones_begin_one_at_a_time_and_small_ones_of_their_lane_behind_them(
        self, worker: Worker, sink: Script
    ) -> None:
        jobs: list[Claimed] = []
        for number in range(10):
            for to in (f"large{number}", f"large{number}", "other"):
                event = an_event("born", number=number)
                if to != "other" and not any(job.integration_id == to for job in jobs):
                    large = replace(event.event, payload=b"x" * 2**16)
                    event = replace(event, event=large)
                assert worker.lanes.reserve(to, len(event.event.payload))
                delivery = a_delivery(event, to, leased=True)
                await worker.queue.append([event], [delivery], revision=REVISION)
                jobs.append(born(worker, delivery, event))
        begun: list[list[Claimed]] = []
        async with worker.running():
            worker.engine.take(jobs, worker.lanes.clock())
            while len(sink.shipments) < len(jobs):
                before = len(sink.shipments)
                await asyncio.sleep(0)
                began = {each.delivery_id for each in sink.shipments[before:]}
                begun.append([job for job in jobs if job.id in began])
        sizes = [[len(job.event.payload) for job in jobs] for jobs in begun]
        assert all(len([size for size in each if size == 2**16]) <= 1 for each in sizes)
        others = [job.id for job in jobs if job.integration_id == "other"]
        assert {job.id for job in begun[0]} <= set(others)  # they wait for nobody
        for number in range(10):
            lane = f"large{number}"
            assert sink.to(lane) == [job.id for job in jobs if job.integration_id == lane]

    async def test_what_comes_while_it_stops_is_given_back_at_once(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        event = an_event("late")
        delivery = a_delivery(event, "crm", leased=True)
        worker.lanes.reserve("crm", len(event.event.payload))
        await worker.queue.append([event], [delivery], revision=REVISION)
        never = asyncio.Event()
        sink.answers["slow"] = after(never)
        await store.add("slow")
        worker.engine.start()
        await sink.until_sent(1)
        draining = asyncio.create_task(worker.engine.drain(30.0))
        await asyncio.sleep(0)
        worker.engine.take([born(worker, delivery, event)], worker.lanes.clock())
        await worker.queue.until_called("release")
        never.set()
        await draining
        [row] = await store.pending("crm")
        assert (row["lease"], row["claims"]) == (None, 0)
        assert worker.lanes.held == 0


class TestStopping:
    async def test_what_is_at_hand_is_given_back_and_what_runs_is_finished(
        self, store: Store, worker: Worker, sink: Script, book: Book
    ) -> None:
        book.change("crm", max_in_flight=2)
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        await store.add("crm", 8)
        worker.engine.start()
        await sink.until_sent(2)
        draining = asyncio.create_task(worker.engine.drain(30.0))
        await worker.queue.until_called("release")
        answered.set()
        await draining
        assert set((await store.ended("crm")).values()) == {DELIVERED}
        assert len(await store.ended("crm")) == 2
        left = {(row["lease"], row["claims"]) for row in await store.pending("crm")}
        assert left == {(None, 0)}
        assert len(sink.shipments) == 2

    async def test_a_target_that_hangs_holds_a_stop_up_no_longer_than_its_grace(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        sink.answers["crm"] = after(asyncio.Event())
        [delivery] = await store.add("crm")
        worker.engine.start()
        await sink.until_sent(1)
        await worker.engine.drain(0.05)
        [row] = await store.pending("crm")
        assert row["id"] == delivery
        assert row["lease"] is not None
        assert not worker.engine.alive

    async def test_leases_are_renewed_while_it_stops(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script
    ) -> None:
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        await store.add("crm")
        worker = a_worker(renew_interval=0.1)
        worker.engine.start()
        await sink.until_sent(1)
        draining = asyncio.create_task(worker.engine.drain(30.0))
        await worker.queue.until_called("renew", 1)
        [before] = await store.pending("crm")
        await worker.queue.until_called("renew", 2)  # of which the first is through
        [after_that] = await store.pending("crm")
        assert after_that["leased_until"] > before["leased_until"]
        other = a_worker()
        async with other.running():
            await other.queue.until_called("waiting", 2)
            assert len(sink.shipments) == 1, "nobody may take over what is under way"
            answered.set()
            await draining
        assert set((await store.ended("crm")).values()) == {DELIVERED}
