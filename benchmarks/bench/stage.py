"""The processes of one scenario: receiver, generator and, as often as wanted, the service."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from bench import certificates
from bench.counters import Counters
from bench.events import pattern, pbx_serial
from bench.layout import Layout
from bench.measure import Gauge, gauge
from bench.processes import BenchFailed, Helper, Service, helper, service
from bench.results import Receipts, Sent
from bench.scenarios import Options, Scenario
from hookline.domain.access import new_key
from hookline.domain.catalogue import load_catalogue

_MOST_ORIGINS = 256  # receivers' ports, over which many integrations are spread
_ADDRESS = "127.0.0.1"  # of the receiver
_QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/bench"
_AWS_SECRET = "made-up:nothing-on-loopback-checks-it"  # noqa: S105 - no secret
_AT_ONCE = 16  # integrations that are made at a time: enough to keep the service busy
_NUMBERS = 10**9  # events' numbers for each of several loads: more than any sends
_REQUEST = 30.0  # seconds for one call of the API


@dataclass(slots=True)
class Stage:
    """One scenario's place: a directory, a receiver, a generator, and settings for the service."""

    scenario: Scenario
    directory: Path
    layout: Layout
    counters: Counters
    receiver: Helper
    generator: Helper
    ports: Mapping[str, Any]
    key: str = field(repr=False)
    options: Options
    authority: Path | None = None  # which the receiver's certificate is of
    next_number: int = 0
    _files: "itertools.count[int]" = field(default_factory=itertools.count)

    @asynccontextmanager
    async def service(
        self, *arguments: str, **settings: str
    ) -> AsyncIterator[tuple[Service, Gauge]]:
        """Run the service on this place's database, which outlives it."""
        variables = {
            "DATA_DIR": str(self.directory / "data"),
            "PORT": "0",
            "ADMIN_KEY": self.key,
            "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "SQS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['queue']}",
            "SHUTDOWN_GRACE": "1",  # what hangs when the figures are taken is not waited for
            **self._of_the_scenario(),
            **settings,
        }
        many = ("--processes", str(self.options.processes)) if self.options.processes > 1 else ()
        async with service(self.directory, variables, *many, *arguments) as running:
            self.layout.pin("service", [running.pid])
            roles = {
                "service": running.pid,
                "receiver": self.receiver.pid,
                "generator": self.generator.pid,
            }
            async with gauge(self.directory / "data", self.layout, roles) as opened:
                yield running, opened

    async def subscribe(self, running: Service) -> Sequence[str]:
        """Make the scenario's integrations, and tell the receiver their secrets."""
        scenario = self.scenario
        pbxs = [index % scenario.pbxs for index in range(scenario.integrations)]
        wanted = [self._integration(index, pbx) for index, pbx in enumerate(pbxs)]
        secrets = await self._create(running, wanted)
        await self.receiver.ask("secrets", secrets=secrets)
        return list(secrets)

    async def subscribe_others(
        self, running: Service, wanted: Sequence[tuple[bytes, int]]
    ) -> list[str]:
        """Make integrations that are not watched, of these PBXs and on these ports."""
        requests = [
            self._request(
                "other", pbx, {"type": "WEBHOOK", "url": f"http://{_ADDRESS}:{port}/{at}"}
            )
            for at, (pbx, port) in enumerate(wanted)
        ]
        return list(await self._create(running, requests))

    async def send(self, running: Service, **order: Any) -> Sent:  # noqa: ANN401 - load.Order's fields
        """Have the generator send; return when it has its last answer."""
        (sent,) = await self.send_at_once(running, order)
        return sent

    async def send_at_once(self, running: Service, *orders: Mapping[str, Any]) -> list[Sent]:
        """Have the generator send several loads side by side; `pbxs` is a range."""
        whole = [self._order(running, index, order) for index, order in enumerate(orders)]
        answer = await self.generator.ask("run", orders=whole)
        found = [
            Sent.read(Path(order["out"]), order["first"], report)
            for order, report in zip(whole, answer["reports"], strict=True)
        ]
        self.next_number = found[-1].first + len(found[-1].sent)
        for sent in found:
            if not sent.report["accepted"]:
                raise BenchFailed(f"The service accepted no event: {sent.report['refusal']}")
        return found

    def _of_the_scenario(self) -> dict[str, str]:
        """Return the settings that the service needs for this scenario alone."""
        found = {} if self.authority is None else {"EGRESS_CA_FILE": str(self.authority)}
        if self.scenario.hands is not None:
            found["MAX_IN_FLIGHT"] = str(self.scenario.hands)
        return found

    def _order(self, running: Service, index: int, order: Mapping[str, Any]) -> dict[str, Any]:
        scenario = self.scenario
        pbxs: range = order.get("pbxs", range(scenario.pbxs))
        return {
            "port": running.port,
            "key": self.key,
            "first": self.next_number + index * _NUMBERS,
            "out": str(self.directory / f"sent-{next(self._files)}"),
            "counters": str(self.directory / "counters"),
            "batch": scenario.batch,
            "connections": scenario.connections,
            "zipf": scenario.zipf,
            "fanout": scenario.fanout,
            **order,
            "pbxs": (pbxs.start, pbxs.stop, pbxs.step),
        }

    def complaints(self) -> list[str]:
        """Return what the service logged as errors: the name of each kind, with its count."""
        kinds: Counter[str] = Counter()
        with (self.directory / "service.log").open(encoding="utf-8", errors="replace") as log:
            for line in log:
                if '"level": "error"' in line:
                    kinds[str(json.loads(line).get("event"))] += 1
        return [f"{kind} ({count:,} times)" for kind, count in kinds.most_common()]

    async def receipts(self) -> Receipts:
        """Ask the receiver for everything that it has got."""
        out = self.directory / "received"
        return Receipts.read(out, await self.receiver.ask("write", path=str(out)))

    def _integration(self, index: int, pbx: int) -> dict[str, Any]:
        if self.scenario.queue:
            transmission = {
                "type": "AWS_SQS",
                "url": _QUEUE,
                "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                "secretAccessKey": _AWS_SECRET,
            }
        else:
            hangs = self.scenario.hang and index in self.scenario.trouble
            ports = self.ports["dead" if hangs else "webhooks"]
            # The integrations of one PBX are on different origins, where there are several.
            port = ports[(index + index // self.scenario.pbxs) % len(ports)]
            scheme = "https" if self.scenario.tls and not hangs else "http"
            url = f"{scheme}://{_ADDRESS}:{port}/hooks/{index}"
            transmission = {"type": "WEBHOOK", "url": url}
        request = self._request(f"bench {index}", pbx_serial(pbx), transmission)
        if self.scenario.passing is not None:
            request["filter"] = pattern(passes=index // self.scenario.pbxs < self.scenario.passing)
        return request

    def _request(self, name: str, pbx: bytes, transmission: dict[str, str]) -> dict[str, Any]:
        return {
            "pbx": pbx.decode(),
            "name": name,
            "transmission": transmission,
            "events": {group.name: "all" for group in load_catalogue().groups},
            "maxInFlight": self.options.in_flight or self.scenario.in_flight,
        }

    async def _create(self, running: Service, wanted: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Create integrations; return their secrets by id, in order."""
        headers = {"authorization": f"Bearer {self.key}"}
        limit = asyncio.Semaphore(_AT_ONCE)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{running.port}",
            headers=headers,
            timeout=_REQUEST,
            trust_env=False,
        ) as client:

            async def create(integration: dict[str, Any]) -> tuple[str, str]:
                async with limit:
                    answer = await client.post("/v1/integrations", json=integration)
                if answer.status_code != httpx.codes.CREATED:
                    raise BenchFailed(f"An integration was refused: {answer.text}")
                made = answer.json()
                return made["id"], made["transmission"].get("secret", _AWS_SECRET)

            return dict(await asyncio.gather(*map(create, wanted)))


@contextmanager
def _directory() -> Iterator[Path]:
    """Make a temporary directory that others may pass: for root, another user runs the database."""
    with TemporaryDirectory(prefix="hookline-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@asynccontextmanager
async def stage(scenario: Scenario, layout: Layout, options: Options) -> AsyncIterator[Stage]:
    """Set a scenario's stage in a temporary directory, and clear it away afterwards."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(_directory())
        counters = Counters.make(directory / "counters")
        receiver = await stack.enter_async_context(helper("receiver", "receiver", directory))
        generator = await stack.enter_async_context(helper("generator", "load", directory))
        layout.pin("receiver", [receiver.pid])
        layout.pin("generator", [generator.pid])
        authority, shown = certificates.make(directory, _ADDRESS) if scenario.tls else (None, None)
        ports = await receiver.ask(
            "listen",
            counters=str(directory / "counters"),
            webhooks=scenario.origins or min(scenario.integrations, _MOST_ORIGINS),
            dead=min(len(scenario.trouble), _MOST_ORIGINS),
            tls=None if shown is None else str(shown),
            delays=scenario.delays,
            close=scenario.close,
            workers=scenario.workers,
        )
        yield Stage(
            scenario=scenario,
            directory=directory,
            layout=layout,
            counters=counters,
            receiver=receiver,
            generator=generator,
            ports=ports,
            key=new_key(),
            options=options,
            authority=authority,
        )
