"""The engine while things go wrong: lost leases, an absent database, faults of ours; and idle."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from hookline.dispatch.deliver import Sender
from hookline.domain.deliveries import Sent
from hookline.domain.events import Event
from hookline.integrations.subscriptions import Subscription
from hookline.queue.port import Lane
from support.engine_steps import DELIVERED, take_over, until, until_over
from support.scripted_engine import Store, Worker
from support.sink_script import Book, Script, after


class TestLeases:
    async def test_a_dead_workers_deliveries_are_taken_over_when_their_leases_end(
        self, store: Store, a_worker: Callable[..., Worker]
    ) -> None:
        dead = a_worker(lease_seconds=0.3)
        ids = await store.add("crm", 5)
        asked = await dead.queue.claim([Lane("crm", 5)], most_bytes=1_000_000)
        assert len(asked) == 5
        async with a_worker().running():
            assert await store.until_ended("crm", 5) == dict.fromkeys(ids, DELIVERED)

    async def test_an_attempt_that_outlasts_its_lease_keeps_it(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script
    ) -> None:
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        [delivery] = await store.add("crm")
        slow, other = a_worker(lease_seconds=0.5, renew_interval=0.1), a_worker()
        async with slow.running():
            await sink.until_sent(1)
            async with other.running():
                await slow.queue.until_called("renew", 10)
                answered.set()
                assert await store.until_ended("crm", 1) == {delivery: DELIVERED}
        assert sink.to("crm") == [delivery]

    async def test_what_is_at_hand_when_its_lease_is_over_is_not_attempted(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script, book: Book
    ) -> None:
        """As after a SIGSTOP: the process wakes, and others have what it held."""
        book.change("crm", max_in_flight=1)
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        ids = await store.add("crm", 3)
        frozen = a_worker(lease_seconds=0.3, renew_interval=3600.0, poll_interval=3600.0)
        async with frozen.running():
            await sink.until_sent(1)
            taken = await take_over(store, "crm", 3)
            answered.set()
            await until(lambda: frozen.lanes.held == 0)
            assert len(sink.shipments) == 1
            assert await store.ended("crm") == {}, "its late settlement is fenced"
        assert sorted(taken) == sorted(ids)

    async def test_no_delivery_runs_twice_at_once_here_though_its_lease_ran_out(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script
    ) -> None:
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        [delivery] = await store.add("crm")
        worker = a_worker(lease_seconds=0.2, renew_interval=3600.0, poll_interval=0.05)
        async with worker.running():
            await sink.until_sent(1)
            await until(lambda: sum(got for _, got in worker.queue.claimed) >= 3)
            assert len(sink.shipments) == 1
            answered.set()
            assert await store.until_ended("crm", 1) == {delivery: DELIVERED}
        assert max(sink.most_under_way.values()) == 1
        assert (worker.lanes.held, worker.lanes.bytes_held) == (0, 0)


class TestDatabaseAway:
    async def test_outcomes_are_written_when_it_is_back_and_no_attempt_is_repeated(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script
    ) -> None:
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        ids = await store.add("crm", 4)
        worker = a_worker(lease_seconds=0.3, poll_interval=0.05)
        async with worker.running():
            await sink.until_sent(4)
            worker.queue.away = {"claim", "settle", "waiting", "renew", "release"}
            answered.set()
            await worker.queue.until_called("settle", 3)
            await until_over(store, "crm")
            worker.queue.away = {"settle"}
            await worker.queue.until_called("settle", 2)
            worker.queue.away = set()
            assert await store.until_ended("crm", 4) == dict.fromkeys(ids, DELIVERED)
        assert sorted(sink.to("crm")) == sorted(ids)

    async def test_connections_that_are_cut_cost_nothing_but_time(
        self, store: Store, worker: Worker, sink: Script
    ) -> None:
        ids = await store.add("crm", 400)
        cut = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        async with worker.running():
            await sink.until_sent(50)
            await store.pool.execute(cut)
            ended = await store.until_ended("crm", 400)
        assert {status for status, _, _ in ended.values()} == {"delivered"}
        assert set(sink.to("crm")) == set(ids)

    async def test_it_is_not_asked_without_pause(self, store: Store, worker: Worker) -> None:
        await store.add("crm")
        worker.queue.away = {"claim", "waiting"}
        async with worker.running():
            await worker.queue.until_called("waiting", 2)
            assert worker.queue.calls["waiting"] <= 3
            worker.queue.away = set()
            await store.until_ended("crm", 1)


class TestFaultsOfOurs:
    async def test_what_makes_our_code_raise_ends_as_failed_and_harms_no_other(
        self,
        store: Store,
        a_worker: Callable[..., Worker],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usual = Sender.attempt

        async def attempt(
            sender: Sender,
            to: Subscription,
            job: UUID,
            event_id: UUID,
            event: Event,
            **more: Any,  # noqa: ANN401 - whatever it is sent with
        ) -> Sent:
            if to.integration_id == "poison":
                raise LookupError("a fault of ours")
            return await usual(sender, to, job, event_id, event, **more)

        monkeypatch.setattr(Sender, "attempt", attempt)
        worker = a_worker(lease_seconds=0.2, poll_interval=0.05, renew_interval=3600.0)
        [poison] = await store.add("poison")
        well = await store.add("well", 50)
        async with worker.running():
            assert await store.until_ended("well", 50) == dict.fromkeys(well, DELIVERED)
            assert await store.until_ended("poison", 1) == {poison: ("failed", "internal", 0)}
            assert worker.engine.alive
        assert (worker.lanes.held, worker.lanes.bytes_held) == (0, 0)


class TestIdling:
    async def test_an_idle_engine_asks_nothing_between_its_polls(
        self, a_worker: Callable[..., Worker]
    ) -> None:
        worker = a_worker(poll_interval=3600.0)
        async with worker.running():
            await worker.queue.until_called("waiting")
            for _ in range(100):
                worker.engine.wake()
                await asyncio.sleep(0)
            assert worker.queue.calls == {"waiting": 1}

    async def test_a_lane_that_others_work_on_is_not_asked_for_again_and_again(
        self, store: Store, a_worker: Callable[..., Worker], sink: Script
    ) -> None:
        answered = asyncio.Event()
        sink.answers["crm"] = after(answered)
        await store.add("crm", 4)
        busy = a_worker()
        idle = a_worker(poll_interval=0.02)
        async with busy.running():
            await sink.until_sent(4)
            async with idle.running():
                await idle.queue.until_called("waiting", 5)
                assert idle.queue.calls["claim"] == 0
            answered.set()

    async def test_a_hint_that_names_lanes_asks_for_those_alone(
        self, store: Store, a_worker: Callable[..., Worker]
    ) -> None:
        worker = a_worker(poll_interval=3600.0)
        async with worker.running():
            await worker.queue.until_called("waiting")
            await store.add("crm")
            worker.engine.notified("other1,crm")
            await store.until_ended("crm", 1)
            assert worker.queue.calls["waiting"] == 1

    async def test_a_hint_is_enough_to_find_work(
        self, store: Store, a_worker: Callable[..., Worker]
    ) -> None:
        worker = a_worker(poll_interval=3600.0)
        async with worker.running():
            await worker.queue.until_called("waiting")
            await store.add("crm")
            worker.engine.poll_soon()
            await store.until_ended("crm", 1)
