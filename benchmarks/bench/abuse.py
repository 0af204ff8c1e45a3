"""What one tenant's abuse costs another: its requests, its deliveries, the service's life.

The other tenant sends at a rate, first alone, then while the abuse is under way. Each promise is
measured and judged: `verdicts` says what was promised, what was measured and whether it holds.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from bench import phases
from bench.events import pbx_serial
from bench.processes import BenchFailed, Helper, Service, helper
from bench.progress import ProgressDisplay
from bench.results import Part, Receipts, Sent, Spent, checks
from bench.scenarios import Scenario
from bench.stage import Stage

MOST_TIMES_USUAL: Final = 2.0  # the median of the other tenant's requests
MOST_LATENCY: Final = 1_000.0  # milliseconds, from sending to receipt, of 99 in 100
MOST_LIVEZ: Final = 1_000.0  # milliseconds
MOST_MEMORY: Final = 470.0  # MiB a process: docs/operations.md, "Its memory is bounded"

_COMPANY: Final = "it_abuse"
_OF_PBX: Final = 100  # integrations: as many as one may have
_FIRST_PBX: Final = 500_000
_LOOK_EVERY: Final = 0.05  # seconds
_TAKING_HOLD: Final = 1.0  # seconds until the abuse is under way
_SECOND: Final = 1_000  # in milliseconds


async def abuse(place: Stage, progress: ProgressDisplay, seconds: float) -> dict[str, Any]:
    """Send to the others at a rate, alone and beside the abuse."""
    scenario = place.scenario
    others = {"seconds": seconds, "rate": scenario.rate, "pbxs": scenario.others}
    async with helper("attacker", "attack", place.directory) as attacker:
        place.layout.pin("receiver", [attacker.pid])  # it is no part of the service
        ports = await attacker.ask("listen")
        targets = targets_of(scenario, ports["hostile"], dead=place.ports["dead"][0])
        silent = f"127.0.0.1:{ports['silent']}"
        async with place.service(EGRESS_NAME_SERVERS=silent) as (service, gauge):
            progress.phase("making integrations", scenario.integrations + len(targets))
            watched = await place.subscribe(service)
            order = await _prepare(place, service, targets)
            progress.phase("warming up")
            await place.send(service, **others | {"seconds": phases.warm_up(seconds)})
            progress.phase("the others alone")
            alone = await place.send(service, **others)
            await phases.settled(gauge, watched, phases.patience(seconds))
            before = await gauge.read()
            progress.phase("beside the abuse")
            async with _under_attack(attacker, order) as answers, _looking(service) as looks:
                sent = await place.send(service, **others)
                settled = await phases.settled(gauge, watched, phases.patience(seconds))
            spent = Spent.between(before, await gauge.read())
            found = of_abuse(alone, sent, await place.receipts(), looks, gauge.most_memory())
            return phases.whole(found, spent, gauge) | {
                "settled": settled,
                "attack": answers,
                "errors": place.complaints(),
            }


def targets_of(scenario: Scenario, hostile: Sequence[int], *, dead: int) -> list[int]:
    """Return the ports of the abuser's integrations: of receivers that are hostile, or dead."""
    spread = itertools.islice(itertools.cycle(hostile), scenario.hostile_integrations)
    return [*spread, *[dead] * scenario.dead_integrations]


def of_abuse(
    alone: Sent, beside: Sent, receipts: Receipts, looks: Sequence[float], memory: float
) -> dict[str, Any]:
    """Return the other tenant's figures beside the abuse, and what is to be said of each promise.

    `looks`: how many milliseconds each `/livez` took; `memory`: the most of a process, in MB.
    """
    part = Part.of(beside, receipts)
    found = part.figures()
    requests = {"alone": _requests(alone), "beside": _requests(beside)}
    latency = (found["end_to_end_ms"] or {"p99": float("inf")})["p99"]
    missing = found["accepted"] - found["delivered"]
    times = round(requests["beside"]["p50"] / requests["alone"]["p50"], 2)
    refused = beside.report["refused"]
    slowest = max(looks, default=float("inf"))
    verdicts = [
        _verdict("requests, × the usual time (p50)", times, MOST_TIMES_USUAL),
        _verdict("requests that were refused", refused, 0),
        _verdict("deliveries that did not come", missing, 0),
        _verdict("from sending to receipt, ms (p99)", latency, MOST_LATENCY),
        _verdict("/livez, ms (the slowest)", round(slowest, 1), MOST_LIVEZ),
        _verdict("memory of a process, MB (the most)", round(memory, 1), MOST_MEMORY),
    ]
    return {
        **found,
        "missing": missing,
        **checks(receipts, alone, beside),
        "requests_ms": requests,
        "alone": Part.of(alone, receipts).figures(),
        "others": found,
        "verdicts": verdicts,
    }


def _verdict(what: str, measured: float, most: float) -> dict[str, Any]:
    return {"what": what, "measured": measured, "most": most, "holds": measured <= most}


def _requests(sent: Sent) -> Mapping[str, float]:
    """Return how many milliseconds requests took that were accepted."""
    pairs = zip(sent.sent, sent.accepted, strict=True)
    took = sorted((accepted - began) / 1e6 for began, accepted in pairs if accepted)
    if not took:
        raise BenchFailed("None of the other tenant's events was accepted.")
    return {"p50": round(took[len(took) // 2], 2), "p99": round(took[len(took) * 99 // 100], 2)}


async def _prepare(place: Stage, service: Service, targets: Sequence[int]) -> dict[str, Any]:
    """Make the abusing company: PBXs, integrations on these ports, and its keys."""
    pbxs = [pbx_serial(_FIRST_PBX + at).decode() for at in range(-(-len(targets) // _OF_PBX))]
    headers = {"authorization": f"Bearer {place.key}"}
    base = f"http://127.0.0.1:{service.port}"
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as admin:
        for pbx in pbxs:
            record = {"company": _COMPANY, "license": "x-bees"}
            _done(await admin.put(f"/v1/pbxs/{pbx}", json=record))
        keys = {}
        for role in ("ingest", "manager"):
            made = await admin.post("/v1/keys", json={"role": role, "company": _COMPANY})
            keys[role] = _done(made).json()["key"]
    wanted = [(pbxs[at // _OF_PBX].encode(), port) for at, port in enumerate(targets)]
    integrations = await place.subscribe_others(service, wanted)
    return {
        "port": service.port,
        "company": _COMPANY,
        "pbxs": pbxs,
        "integrations": integrations,
        "hostile": place.scenario.hostile_integrations > 0,
        **keys,
    }


def _done(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise BenchFailed(f"The abuse could not be prepared: {answer.text}")
    return answer


@asynccontextmanager
async def _under_attack(
    attacker: Helper, order: Mapping[str, Any]
) -> AsyncIterator[dict[str, dict[str, int]]]:
    """Attack while the block lasts; how it was answered is known afterwards."""
    answers: dict[str, dict[str, int]] = {}
    await attacker.ask("begin", **order)
    await asyncio.sleep(_TAKING_HOLD)
    yield answers
    answers.update((await attacker.ask("end"))["answers"])


@asynccontextmanager
async def _looking(service: Service) -> AsyncIterator[list[float]]:
    """Ask `/livez` again and again while the block lasts; note how long each answer took."""
    looks: list[float] = []

    async def look() -> None:
        base = f"http://127.0.0.1:{service.port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as client:
            while True:
                began = time.perf_counter()
                (await client.get("/livez")).raise_for_status()
                looks.append((time.perf_counter() - began) * _SECOND)
                await asyncio.sleep(_LOOK_EVERY)

    task = asyncio.create_task(look(), name="bench-livez")
    try:
        yield looks
    finally:
        task.cancel()
        await asyncio.wait([task])
