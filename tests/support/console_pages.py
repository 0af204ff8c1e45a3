"""Every page of the console, filled as after a day of work."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import msgspec
from playwright.async_api import Error, Page, expect

from factories import COMPANY, a_queue, sample_events
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.statistics import Ending, RollUp, code_of
from support.receivers import Receiver, answering, status
from support.service import Service, eventually

PBX = "000000000031"
PAGES: Mapping[str, tuple[str, str]] = {
    "integrations": ("integrations", "Integrations"),
    "new": ("integrations/new", "Add new integration"),
    "deliveries-of-one": ("integrations/{integration}", "Wallboard"),
    "replay": ("integrations/{integration}?tab=replay", "Wallboard"),
    "charts": ("integrations/{integration}?tab=charts", "Wallboard"),
    "test": ("integrations/{integration}?tab=test", "Wallboard"),
    "settings": ("integrations/{filtered}?tab=settings", "Missed calls to the CRM"),
    "secret": ("integrations/{integration}?tab=secret", "Wallboard"),
    "deliveries": ("deliveries", "Deliveries"),
    "delivery": ("deliveries/{delivery}", "Delivery of call:end"),
    "events": ("events", "Events"),
    "event": ("events/{event}", "call:end"),
    "pbxs": ("pbxs", "PBXs"),
    "keys": ("keys", "Keys"),
    "erasure": ("erasures?job={erasure}", "Erasure"),
    "system": ("system", "System"),
    "nowhere": ("nowhere", "There is nothing at this address"),
}
"""Each page's name, its address below `/console/`, and its first heading."""

_MISSED = {"data": {"flows": {"direction": ["INBOUND"], "talkTime": [{"numeric": ["=", 0]}]}}}
_FITS = """() => {
    const [root, right] = [document.documentElement, (one) => one.getBoundingClientRect().right];
    const fixed = [...document.querySelectorAll('header *')];  // which widens no page
    return Math.max(root.scrollWidth, ...fixed.map(right)) <= root.clientWidth;
}"""
_HOURS = 24
_FOLLOWING_MS = 10_000  # for what takes a frame or two on an idle machine


async def fill(service: Service, dsn: str, receiver: Receiver) -> dict[str, str]:
    """Make what the pages show; return the ids that stand in their addresses."""
    api = service.api
    await api.put(f"/v1/pbxs/{PBX}", {"company": COMPANY, "license": "x-bees"})
    collaboration = {"company": "it_w000002", "license": "collaboration", "presenceEvents": True}
    await api.put("/v1/pbxs/000000000032", collaboration)
    receiver.behaviour = answering(status(404, body=b'{"error": "no such hook"}'), status(200))
    made = [
        await service.an_integration(receiver, pbx=PBX, **changes)
        for changes in (
            {"name": "Archive", "events": {"analytics": "all"}, "enabled": False},
            {
                "name": "Missed calls to the CRM",
                "events": {"analytics": ["call:completed"]},
                "filter": _MISSED,
                "omit": ["data.flows.*.caller.email"],
            },
            {"name": "Wallboard", "events": {"call": "all", "presence": ["presence:telephony"]}},
        )
    ]
    queue = a_queue(name="Data lake", pbx="000000000032", events={"analytics": "all", "sms": "all"})
    made.append((await api.post("/v1/integrations", queue)).json())
    _, filtered, wallboard, _ = made
    call = "it_w000001_1721833634.195"
    receipts = [
        await service.send(document | {"pbx": PBX, "company": COMPANY, "id": subject})
        for document in sample_events()
        for subject in [call if document["type"].startswith("call:") else document["id"]]
        if document["type"] not in {"call:live:progress", "call:live:transcription"}
    ]
    for receipt in receipts:
        await service.settled(receipt["eventId"])
    await _yesterday(dsn, [each["id"] for each in made])
    path = f"/v1/integrations/{wallboard['id']}/replays"
    now = datetime.now(UTC)
    period = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}
    replay = (await api.post(path, {**period, "statuses": ["failed"]})).json()
    subject = next(each["id"] for each in sample_events() if each["type"] == "sms:status")
    erasure = (await api.post("/v1/erasures", {"pbx": PBX, "subject": subject})).json()
    erased = partial(service.read, f"/v1/erasures/{erasure['id']}")
    await eventually(erased, lambda read: (read["error"] or "").endswith("being accepted."))
    await _look_again(dsn)
    for job in (partial(service.read, f"/v1/replays/{replay['id']}"), erased):
        await eventually(job, lambda read: read["state"] == "done")
    failed = await service.read(f"/v1/deliveries?status={DeliveryStatus.FAILED}")
    delivery = failed["items"][-1]
    return {
        "integration": wallboard["id"],
        "filtered": filtered["id"],
        "event": delivery["eventId"],
        "delivery": delivery["id"],
        "erasure": erasure["id"],
    }


async def _look_again(dsn: str) -> None:
    """Have an erasure end now that waits for half a minute, lest something is being accepted."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("update jobs set next_at = now() where kind = 'erasure'")
    await connection.execute("select pg_notify('hookline_jobs', '')")
    await connection.close()


async def _yesterday(dsn: str, integrations: list[str]) -> None:
    """Write the counts of the last hours, as if these integrations had been busy."""
    chance = random.Random(17)  # noqa: S311  # no secret
    now = datetime.now(UTC)
    connection = await asyncpg.connect(dsn)
    for integration in integrations[1:]:
        days: dict[str, dict[int, RollUp]] = {}
        for ago in range(1, _HOURS):
            moment = now - timedelta(hours=ago)
            roll_up = RollUp()
            busy = 40 if 7 <= moment.hour <= 18 else 6
            for _ in range(chance.randint(busy // 2, busy)):
                took = round(chance.lognormvariate(3.7, 0.6))
                ending = Ending.FAILED if chance.random() < 0.04 else Ending.DELIVERED
                latency = None if ending is Ending.FAILED else took + chance.randint(2, 9)
                code = code_of(
                    ending, attempt_ms=took, latency_ms=latency, retried=chance.random() < 0.05
                )
                roll_up.count(code, 1)
            days.setdefault(f"{moment:%Y-%m-%d}", {})[moment.hour] = roll_up
        for day, hours in days.items():
            await connection.execute(
                "insert into roll_ups values ($1, $2::text::date, $3) on conflict do nothing",
                integration,
                day,
                msgspec.msgpack.encode(hours),
            )
    await connection.close()


async def show(page: Page, name: str, ids: Mapping[str, str]) -> None:
    """Go to a page without loading the console anew, and wait until it is all there."""
    path, heading = PAGES[name]
    await page.evaluate("(to) => history.pushState({}, '', to)", f"/console/{path.format(**ids)}")
    await expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    if name == "charts":
        await expect(page.locator(".recharts-surface").first).to_be_visible()


async def is_cut_off(page: Page) -> bool:
    """Tell whether a page stays wider than its window, after its charts have followed that."""
    try:
        await page.wait_for_function(_FITS, timeout=_FOLLOWING_MS)
    except Error:  # its timeout
        return True
    return False
