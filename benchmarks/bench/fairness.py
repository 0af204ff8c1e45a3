"""What troublesome integrations cost the others: half of a thousand hang, or one is flooded.

Only integrations whose receivers are well are watched. What they get is compared with what the same
ones get without the trouble: in another scenario (`crowd`), or in earlier phases of the same.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench import phases
from bench.measure import Gauge
from bench.processes import BenchFailed, Service
from bench.progress import ProgressDisplay
from bench.ratios import ratios
from bench.results import Part, Receipts, Sent, Spent, checks
from bench.stage import Stage
from hookline.settings import Settings

_SECOND: Final = 1_000_000_000  # in nanoseconds
_TIMEOUT: Final[float] = Settings.model_fields["delivery_timeout"].default
_QUICK: Final = {
    "DELIVERY_TIMEOUT": "0.5",
    "RETRY_DELAYS": "0.5,0.5,0.5",
    "PAUSE_AFTER": "3",
    "PAUSE_AFTER_SECONDS": "0",
    "POLL_INTERVAL": "0.2",
}
_ENOUGH = 6  # events for an integration that is to be paused after three attempts
_PAUSING = 120.0  # seconds until all are
_LOOK_EVERY = 0.1  # seconds

_PAUSED = "select count(*) from integration_health where state = 'paused'"


@dataclass(frozen=True, slots=True)
class _Watch:
    """A running service, and the integrations whose deliveries are waited for."""

    place: Stage
    service: Service
    gauge: Gauge
    progress: ProgressDisplay
    watched: Sequence[str]

    async def warm_up(self, seconds: float) -> None:
        """Send to the others alone: it tells the service nothing about the troublesome."""
        order = {"seconds": phases.warm_up(seconds), "pbxs": self.place.scenario.others}
        await self.phase("warming up", order)

    async def phase(self, what: str, *orders: Mapping[str, Any]) -> tuple[list[Sent], bool]:
        """Send loads side by side; wait until the watched have everything; tell whether they do."""
        self.progress.phase(what)
        async with phases.watching(self.place.counters, self.progress):
            sent = await self.place.send_at_once(self.service, *orders)
            within = phases.patience(orders[0]["seconds"])
            return sent, await phases.settled(self.gauge, self.watched, within)


async def crowd(place: Stage, progress: ProgressDisplay, seconds: float) -> dict[str, Any]:
    """Send to all alike for `seconds`, the hanging ones included; watch those that are well."""
    scenario = place.scenario
    names = await _pause_the_hung(place, progress) if scenario.paused else []
    async with place.service() as (service, gauge):
        names = names or await _subscribe(place, service, progress)
        watched = [names[index] for index in scenario.others] if scenario.hang else names
        watch = _Watch(place, service, gauge, progress, watched)
        await watch.warm_up(seconds)
        before = await gauge.read()
        (sent,), settled = await watch.phase("measuring", {"seconds": seconds})
        spent = Spent.between(before, await gauge.read())
        paused = await gauge.database.fetchval(_PAUSED)
        found = of_crowd(sent, await place.receipts(), hang=scenario.hang, paused=scenario.paused)
        return phases.whole(found, spent, gauge) | {
            "measured_s": seconds,
            "paused_at_end": paused,
            "settled": settled,
            "errors": place.complaints(),
        }


async def flood(place: Stage, progress: ProgressDisplay, seconds: float) -> dict[str, Any]:
    """Send to the others at a rate: alone, beside as many events as go spread over them, flooded.

    The flood is a closed loop to one integration, as fast as its events are accepted.
    """
    scenario = place.scenario
    others = {"seconds": seconds, "rate": scenario.rate, "pbxs": scenario.others}
    spread = {"seconds": seconds, "pbxs": scenario.others}
    flooding = {"seconds": seconds, "pbxs": scenario.trouble}
    async with place.service() as (service, gauge):
        names = await _subscribe(place, service, progress)
        watched = [names[index] for index in scenario.others]
        watch = _Watch(place, service, gauge, progress, watched)
        await watch.warm_up(seconds)
        (alone,), _ = await watch.phase("the others alone", others)
        (beside, _), _ = await watch.phase("as many events, spread", others, spread)
        before = await gauge.read()
        sent, settled = await watch.phase("flooding", others, flooding)
        spent = Spent.between(before, await gauge.read())
        found = of_flood(await place.receipts(), alone, beside, *sent)
        return phases.whole(found, spent, gauge) | {
            "settled": settled,
            "errors": place.complaints(),
        }


def of_crowd(sent: Sent, receipts: Receipts, *, hang: bool, paused: bool) -> dict[str, Any]:
    """Return the figures of all events, and under `others` those of every other one.

    Where receivers hang, also those sent before their first attempts can have timed out, and those
    after. The sending is in order, so a moment is an index.
    """
    everything, others = Part.of(sent, receipts).figures(), range(1, len(sent.sent), 2)
    watched = Part.of(sent, receipts, others).figures()
    awaited = watched if hang else everything
    found = everything | {
        "missing": awaited["accepted"] - awaited["delivered"],
        **checks(receipts, sent),
        "others": watched,
    }
    if not hang or paused:
        return found
    known = bisect_left(sent.sent, sent.report["began"] + int(_TIMEOUT * _SECOND)) // 2
    slices = {"before_timeouts": others[:known], "after_timeouts": others[known:]}
    return found | {
        "slices": {
            name: Part.of(sent, receipts, among).figures()
            for name, among in slices.items()
            if among
        }
    }


def of_flood(
    receipts: Receipts, alone: Sent, beside: Sent, others: Sent, flooding: Sent
) -> dict[str, Any]:
    """Return the figures of the last phase's events, and of the others in each of the phases."""
    own, whole = Part.of(others, receipts), Part.of(flooding, receipts)
    found, watched = whole.beside(own).figures(), own.figures()
    baselines = {
        name: Part.of(sent, receipts).figures()
        for name, sent in (("alone", alone), ("spread", beside))
    }
    return {
        **found,
        "missing": watched["accepted"] - watched["delivered"],
        **checks(receipts, alone, beside, others, flooding),
        "flood_share": round(flooding.report["accepted"] / found["accepted"], 3),
        "others": watched,
        **baselines,
        **{f"of_{name}": ratios(watched, figures) for name, figures in baselines.items()},
    }


async def _subscribe(place: Stage, service: Service, progress: ProgressDisplay) -> Sequence[str]:
    progress.phase("making integrations", place.scenario.integrations)
    return await place.subscribe(service)


async def _pause_the_hung(place: Stage, progress: ProgressDisplay) -> Sequence[str]:
    """Make the integrations, and have those that hang paused, sooner than by the usual rules.

    Another process is measured then, with the usual ones. What is paused is so in the database.
    """
    hung = place.scenario.trouble
    async with place.service(**_QUICK) as (service, gauge):
        names = await _subscribe(place, service, progress)
        progress.phase("pausing those that hang", len(hung))
        await place.send(service, count=_ENOUGH * len(hung), pbxs=hung)
        deadline = time.monotonic() + _PAUSING
        while (paused := await gauge.database.fetchval(_PAUSED)) < len(hung):
            if time.monotonic() > deadline:
                raise BenchFailed(f"Only {paused:,} of {len(hung):,} integrations were paused.")
            progress.at(paused)
            await asyncio.sleep(_LOOK_EVERY)
    return names
