"""What the walk of one event costs this process: no sockets, no database, so no other's time in it.

Real parts from the HTTP protocol to the sink's connection; both ends of the wire, and the store,
are answered from memory after a pause that is about what they take.

    .venv/bin/python benchmarks/walk.py [--events 20000] [--senders 32] [--part single|drain]
        [--profile]

`single` walks from a request's bytes to the settled delivery; `drain` begins with claimed jobs.
Prints microseconds of processor time for one event: the least and the median of several rounds.
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import uvicorn
import uvloop
from uvicorn.server import ServerState

from bench.events import Template, pbx_serial
from hookline import logs
from hookline.api.cpu_shares import CpuShares
from hookline.api.fairness import BodyMemory
from hookline.api.rate_limits import KeyRateLimits
from hookline.app import create_app
from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.engine import Engine
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.ingest_authorisation import IngestCaller
from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.record import Recorder
from hookline.domain.access import Principal, Role, Tenant
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.ids import new_uuid
from hookline.domain.retries import NO_POLICY, GroupPolicy, RetryPolicies
from hookline.domain.selection import ALL, Selection
from hookline.domain.targets import TransmissionType, WebhookTarget
from hookline.integrations.subscription import Match, Subscription
from hookline.queue.port import Appended, Claimed, Lane, NewDelivery, NewEvent, Settlement, Waiting
from hookline.security.egress.connect import Connection
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.transport import KEPT_BODY, READ_BODY, GuardedTransport
from hookline.server.connections import ConnectionLimits, Connections
from hookline.server.server import connections_of
from hookline.sinks.webhook import WebhookSink

_STORE_TAKES = 0.003  # seconds for a statement
_ROUNDS = 40  # short ones: the least is of a moment in which nothing else ran
_IN_FLIGHT = 64
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_SECRET = "5oHxq3rNTmBrX2dDnTqBtz0q4nTcGk8J"  # noqa: S105 - made up, as long as ours are
_ID = "s95eum"


class Wire(asyncio.Transport):
    """A transport whose other end answers in the loop's next turn."""

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8080)})
        self._answer = answer
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._loop.call_soon(self._answer, bytes(data))

    def pause_reading(self) -> None:
        """Everything came at once."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        """Nothing is open."""

    close = abort


def claimed(delivery_id: UUID, event_id: UUID, event: Event) -> Claimed:
    return Claimed(
        id=delivery_id,
        lease=2,
        event_id=event_id,
        integration_id=_ID,
        attempts=0,
        claims=1,
        once=False,
        revision=1,
        event=event,
    )


class Store:
    """A queue in memory, which takes its time; it keeps what nobody holds."""

    lease_seconds = 30.0
    born_lease = 1

    def __init__(self, jobs: Sequence[Claimed] = ()) -> None:
        self.jobs = list(jobs)
        self.settled = 0
        self.statements = 0

    async def append(
        self, events: Sequence[NewEvent], deliveries: Sequence[NewDelivery], *, revision: int
    ) -> Appended:
        del revision
        self.statements += 1
        await asyncio.sleep(_STORE_TAKES)
        stored = {event.id: event.event for event in events}
        self.jobs += [
            claimed(each.id, each.event_id, stored[each.event_id])
            for each in deliveries
            if not each.leased
        ]
        return Appended(frozenset(event.id for event in events), {})

    async def settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        self.statements += 1
        await asyncio.sleep(_STORE_TAKES)
        self.settled += len(batch)
        return {each.id for each in batch}

    async def claim(self, lanes: Sequence[Lane], *, most_bytes: int) -> list[Claimed]:
        del most_bytes
        self.statements += 1
        await asyncio.sleep(_STORE_TAKES)
        room = sum(lane.room for lane in lanes)
        taken, self.jobs = self.jobs[:room], self.jobs[room:]
        return taken

    async def waiting(self) -> list[Waiting]:
        return [Waiting(_ID, 0.0)] if self.jobs else []


class Snapshot:
    """One integration, that wants everything."""

    revision = 1

    def __init__(self) -> None:
        url = "https://receiver.example/hook"
        self._one = Subscription(
            integration_id=_ID,
            pbx=pbx_serial(0).decode(),
            company=None,
            enabled=True,
            selection=Selection((("call", ALL),)),
            max_in_flight=_IN_FLIGHT,
            ordered=False,
            target=WebhookTarget(url, (_SECRET,)),
        )
        self._match = Match.of((self._one,), {})

    def find(self, _integration_id: str) -> Subscription:
        return self._one

    def match(self, _event: object) -> Match:
        return self._match

    async def catch_up(self, beyond: int | None = None) -> None:
        del beyond

    def reserves(self, _event_type: str) -> bool:
        return False

    def policy_of(self, _subscription: object, _event_type: str) -> GroupPolicy:
        return NO_POLICY

    def group_of(self, _event_type: str) -> str:
        return "call"

    def company_of(self, _pbx: str) -> str | None:
        return None

    def tenant_of(self, event: Event) -> Tenant:
        return Tenant(None, event.pbx)


class Service:
    """The service's own parts, put together as the runtime does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.snapshot = Snapshot()
        transport = GuardedTransport(EgressPolicy(()))
        transport._connect = self._connect  # type: ignore[method-assign,assignment]  # noqa: SLF001 - the wire
        rules = LaneRules(_IN_FLIGHT, ordered=False)
        lanes = Lanes(
            lambda _: rules, lambda _: Tenant(None, "one"), most_held=1024, most_bytes=2**27
        )
        self.engine = Engine(
            queue=cast("Any", store),
            lanes=lanes,
            deliverer=Deliverer(
                self.snapshot,
                {TransmissionType.WEBHOOK: WebhookSink(transport)},
                RetryPolicies((1.0,), retry_after_cap=60.0),
                on_gone=lambda *_: None,
            ),
            recorder=Recorder(cast("Any", store)),
            poll_interval=1.0,
            renew_interval=10.0,
        )
        self.ingest = Ingest(
            cast("Any", store),
            cast("Any", self.snapshot),
            lanes,
            born_lease=store.born_lease,
            start=self.engine.take,
            wake=self.engine.wake,
            notify=lambda _: self.engine.wake(),
        )

    async def _connect(self, _origin: object, _tenant: object, _spent: object) -> Connection:
        connection = Connection(keep=KEPT_BODY, read=READ_BODY)
        connection.connection_made(Wire(lambda _: connection.data_received(_ANSWER)))
        return connection


class Senders:
    """Callers of the real protocol, each of which sends again when it was answered."""

    def __init__(self, service: Service, events: int) -> None:
        principal = Principal(new_uuid(), Role.ADMIN, "", None, None)
        self._service = service
        self._principal = principal
        self._left = events
        self._open = events
        self._template = Template()
        self.done = asyncio.Event()
        services = SimpleNamespace(
            authentication_throttle=self,
            keys=self,
            ingest_authorisation=self,
            rate_limits=KeyRateLimits(
                requests_per_second=1e9, changes_per_second=1e9, events_per_second=1e9
            ),
            bodies=BodyMemory(2**27, largest=2**24),
            cpu_shares=CpuShares(),
            limits=Limits(),
            ingest=service.ingest,
        )
        application = create_app(cast("Any", nullcontext))
        application.state.services = services
        self._config = uvicorn.Config(
            application,
            loop="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
        )
        self._config.server_header = False
        self._config.load()
        self._state = ServerState()
        self._make = connections_of(Connections(ConnectionLimits(4096, 4096)))

    async def check(self, _request: object) -> None:
        """Every sender is known."""

    async def authenticate_from_memory(self, _header: str | None) -> Principal:
        return self._principal

    async def authorise(self, _principal: Principal, *_charges: object) -> IngestCaller:
        return IngestCaller(
            self._principal,
            1,
            cast("Any", None),
            cast("Any", self._service.snapshot),
            (),
        )

    def open(self) -> None:
        protocol = self._make(config=self._config, server_state=self._state, app_state={})

        def answered(data: bytes) -> None:
            if not data.endswith(b"}"):
                return  # a head; its body comes by itself
            self._open -= 1
            if not self._open:
                self.done.set()
            send()

        def send() -> None:
            if self._left:
                self._left -= 1
                body = self._template.event(self._left, pbx_serial(0))
                request = _HEAD % len(body) + body
                protocol.get_buffer(-1)[: len(request)] = request
                protocol.buffer_updated(len(request))

        protocol.connection_made(Wire(answered))
        send()


_HEAD = (
    b"POST /v1/events HTTP/1.1\r\nhost: localhost:8080\r\nauthorization: Bearer hk_" + b"a" * 43
) + b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


async def single(events: int, senders: int) -> float:
    service = Service(Store())
    service.engine.start()
    sending = Senders(service, events)
    began = time.process_time()
    for _ in range(senders):
        sending.open()
    await sending.done.wait()
    await settled(service, events)
    took = time.process_time() - began
    await service.engine.drain(1.0)
    return took / events * 1e6


async def drain(events: int, _senders: int) -> float:
    template = Template()
    event = parse_event(template.event(1, pbx_serial(0)), Limits())
    jobs = [claimed(new_uuid(), new_uuid(), event) for _ in range(events)]
    service = Service(Store(jobs))
    began = time.process_time()
    service.engine.start()
    await settled(service, events)
    took = time.process_time() - began
    await service.engine.drain(1.0)
    return took / events * 1e6


async def settled(service: Service, events: int) -> None:
    while service.store.settled < events:  # noqa: ASYNC110 - an event would be in what is measured
        await asyncio.sleep(_STORE_TAKES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_500)
    parser.add_argument("--senders", type=int, default=32)
    parser.add_argument("--part", choices=("single", "drain"))
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    logs.configure()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    for name, part in (("single", single), ("drain", drain)):
        if options.part not in {None, name}:
            continue
        if options.profile:
            profile = cProfile.Profile()
            profile.enable()
            uvloop.run(part(options.events, options.senders))
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(60)
            continue
        costs = [uvloop.run(part(options.events, options.senders)) for _ in range(_ROUNDS)]
        costs.sort()
        print(f"{name}: {costs[0]:.1f} µs at the least, {statistics.median(costs):.1f} usually")


if __name__ == "__main__":
    main()
