"""`hookline demo`: the sample events through the real service to a receiver, live.

Everything goes over the REST API and over HTTP, as any client's and any receiver's would. The PBX
and the company are made up for each run, so a running service's integrations get none of it.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Self

import httpx
import typer

from hookline.cli import terminal
from hookline.cli.listen import Received, Receiver
from hookline.domain.catalogue import load_catalogue
from hookline.errors import ConfigurationError, HooklineError
from hookline.server.server import address_of, answering, listener

if TYPE_CHECKING:
    from hookline.server.signals import Stopping

_COLOURS = {"✓": "green", "✗": "bold red", "503": "yellow", "sent": "bold", "received": "bold"}
_PACE = 0.25  # seconds between two events, so that eyes can follow
_OF_ITS_OWN = {
    "EGRESS_ALLOWED_NETWORKS": "127.0.0.1/32",
    "RETRY_DELAYS": "2,2,2",  # seconds: long enough to be seen
    "LOG_LEVEL": "WARNING",
}
_FAILS_ONCE = "call:completed"  # the sample whose first attempt the receiver answers with 503
_REQUEST = 10.0  # seconds for one call of the API
_PATIENCE = 30.0  # seconds until every delivery has ended; with usual retry delays one takes 5
_LOOK_EVERY = 0.2  # seconds between looks at a delivery that is still pending
_LEGEND = """Each copy is checked three ways: x-signature over the raw body, x-signature over
JavaScript's round trip of it, and the Standard Webhooks signature.
"""
Json = dict[str, Any]  # a JSON object of the API, read by name


def demo(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="A running service on this machine, with 127.0.0.1/32 among its"
            " HOOKLINE_EGRESS_ALLOWED_NETWORKS. Else one is started and thrown away."
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="An admin key for --url; else the one in DATA_DIR.")
    ] = None,
) -> None:
    """Send the sample events to a receiver of its own, and show how each arrives."""
    from hookline.server.signals import run_until_stopped  # noqa: PLC0415

    verified: list[bool] = []

    async def run(_stopping: "Stopping") -> None:
        async with _service(url, key) as service:
            verified.append(await _demonstrate(service))

    code = run_until_stopped(run)
    sys.exit(code or (0 if verified == [True] else 1))


@asynccontextmanager
async def _service(url: str | None, key: str | None) -> AsyncIterator["Service"]:
    from hookline.cli.demo import Service  # noqa: PLC0415
    from hookline.domain.access import new_key  # noqa: PLC0415
    from hookline.server.processes import running_service  # noqa: PLC0415

    if url is not None:
        yield Service(url.rstrip("/"), key or _kept_key())
        return
    terminal.say("Starting a service of its own, with a new database …")
    with TemporaryDirectory(prefix="hookline-demo-") as name:
        directory = _passable(Path(name))
        own = {"DATA_DIR": str(directory / "data"), "PORT": "0", "ADMIN_KEY": new_key()}
        async with running_service(directory, own | _OF_ITS_OWN) as service:
            yield Service(service.url, own["ADMIN_KEY"])


def _passable(directory: Path) -> Path:
    """Let others through: for root, another user runs the database."""
    directory.chmod(0o711)
    return directory


def _kept_key() -> str:
    from hookline.settings import load_settings, start_secrets  # noqa: PLC0415

    settings = load_settings()
    if settings.admin_key is None and not settings.data_dir.exists():
        raise ConfigurationError("Give an admin key of that service with --key.")
    return start_secrets(settings).admin_key.get_secret_value()


async def _demonstrate(service: "Service") -> bool:
    """Show each sample's way, then a summary; return whether all of it was verified."""
    from hookline.cli.demo import Scenario  # noqa: PLC0415

    async with Scenario.opened(service, tell=lambda line: terminal.say(line, _COLOURS)) as scenario:
        await scenario.send_samples(pace=_PACE if sys.stdout.isatty() else 0.0)
        outcomes = await scenario.outcomes()
    verified = sum(outcome.verified for outcome in outcomes)
    retried = sum(len(outcome.answers) > 1 for outcome in outcomes)
    terminal.say("")
    columns = ("event", "outcome", "attempts", "last took", "verified")
    terminal.table(
        "What GET /v1/events/{id} and /v1/deliveries/{id} say", columns, map(_row, outcomes)
    )
    terminal.say(
        f"{verified} of {len(outcomes)} events delivered and verified, {retried} after a retry.",
        {str(verified): "bold"},
    )
    return verified == len(outcomes) and retried == 1


def _row(outcome: "SampleOutcome") -> tuple[str, ...]:
    return (
        outcome.type,
        outcome.status if outcome.reason is None else f"{outcome.status}: {outcome.reason}",
        ", ".join(outcome.answers),
        f"{outcome.took_ms} ms",
        "✓" if outcome.verified else "✗",
    )


class DemoFailed(HooklineError):
    """The service that the demonstration is about did not do its part."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service answers, and an admin key for it."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the receiver saw it."""

    body: bytes = field(repr=False)
    verified: bool


@dataclass(frozen=True, slots=True)
class SampleOutcome:
    """One sample: what the API says became of it, and what the receiver saw."""

    type: str
    status: str
    reason: str | None
    answers: tuple[str, ...]  # of each attempt, in order
    took_ms: int  # of the last attempt
    arrivals: tuple[Arrival, ...]

    @property
    def verified(self) -> bool:
        """Whether it was delivered, each copy was the same and each signature held."""
        return (
            self.status == "delivered"
            and len(self.arrivals) == len(self.answers)
            and len({arrival.body for arrival in self.arrivals}) == 1
            and all(arrival.verified for arrival in self.arrivals)
        )


class Scenario:
    """One run. `tell` gets each line as it happens."""

    def __init__(self, client: httpx.AsyncClient, tell: Callable[[str], None]) -> None:
        self._client = client
        self._tell = tell
        self._began = time.monotonic()
        self._widest = max(len(kind.name) for kind in load_catalogue().types)
        self._arrivals: dict[str, list[Arrival]] = {}  # by delivery id
        self._failed_once = False
        self._events: dict[str, str] = {}  # event id → type, as sent
        self.receiver = Receiver(answer=self._status_for, tell=self._received)
        tag = secrets.token_hex(4)
        self._pbx, self._company = f"demo{tag}", f"it_demo_{tag}"

    @classmethod
    @asynccontextmanager
    async def opened(cls, service: Service, tell: Callable[[str], None]) -> AsyncIterator[Self]:
        """Open the receiver and its integration, and take both away afterwards."""
        headers = {"authorization": f"Bearer {service.key}"}
        async with httpx.AsyncClient(
            base_url=service.url, headers=headers, timeout=_REQUEST, trust_env=False
        ) as client:
            scenario = cls(client, tell)
            with listener("127.0.0.1", 0, advice="free a port.") as taken:
                async with answering(scenario.receiver, taken):
                    tell(f"Service      {service.url}")
                    async with scenario._integration(f"{address_of(taken)}/hook"):
                        yield scenario

    async def send_samples(self, *, pace: float) -> None:
        """Post every sample that a PBX may send, one after another, `pace` seconds apart."""
        catalogue = load_catalogue()
        for kind in catalogue.types:
            if catalogue.is_reserved(kind.name):
                continue
            event = dict(kind.example) | {"company": self._company, "time": int(time.time() * 1000)}
            if "pbx" in event:
                event["pbx"] = self._pbx
            self._say("sent", kind.name, "")
            answer = await self._call("POST", "/v1/events", 202, json=event)
            self._events[answer["eventId"]] = kind.name
            await asyncio.sleep(pace)

    async def outcomes(self) -> list[SampleOutcome]:
        """Wait until every delivery has ended and return what the API tells about each."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return [await self._outcome(*sent) for sent in self._events.items()]
        except TimeoutError as error:
            raise DemoFailed(
                f"Deliveries are still pending after {_PATIENCE:g} seconds."
            ) from error

    @asynccontextmanager
    async def _integration(self, url: str) -> AsyncIterator[None]:
        created = await self._call(
            "POST",
            "/v1/integrations",
            201,
            json={
                "pbx": self._pbx,
                "company": self._company,
                "name": "hookline demo",
                "transmission": {"type": "WEBHOOK", "url": url},
                "events": {group.name: "all" for group in load_catalogue().groups},
            },
        )
        self.receiver.secret = created["transmission"]["secret"]
        self._tell(f"Receiver     {url}, answers 503 to the first {_FAILS_ONCE}")
        self._tell(f"Integration  {created['id']}, all events of PBX {self._pbx}")
        self._tell(_LEGEND)
        try:
            yield
        finally:
            await self._call("DELETE", f"/v1/integrations/{created['id']}", 204)

    async def _outcome(self, event_id: str, kind: str) -> SampleOutcome:
        while True:
            event = await self._call("GET", f"/v1/events/{event_id}", 200)
            outcome: Json = event["outcomes"][0] if event["outcomes"] else {"status": "missing"}
            if outcome["status"] != "pending":
                break
            await asyncio.sleep(_LOOK_EVERY)
        attempts: list[Json] = []
        if outcome.get("deliveryId"):
            delivery = await self._call("GET", f"/v1/deliveries/{outcome['deliveryId']}", 200)
            attempts = sorted(delivery["attempts"], key=lambda attempt: attempt["number"])
        return SampleOutcome(
            type=kind,
            status=outcome["status"],
            reason=outcome.get("reason"),
            answers=tuple(str(a["statusCode"] or a["error"]) for a in attempts),
            took_ms=attempts[-1]["durationMs"] if attempts else 0,
            arrivals=tuple(self._arrivals.get(str(outcome.get("deliveryId")), ())),
        )

    def _status_for(self, body: bytes) -> int:
        if self._failed_once or json.loads(body)["type"] != _FAILS_ONCE:
            return 200
        self._failed_once = True
        return 503

    def _received(self, received: Received) -> None:
        kind = json.loads(received.body)["type"]
        found = received.verification
        arrivals = self._arrivals.setdefault(received.headers.get("webhook-id", ""), [])
        arrivals.append(Arrival(received.body, found.holds))
        checks = " ".join(
            f"{'✓' if check.value == 'holds' else '✗'} {name}"
            for name, check in (
                ("raw", found.raw),
                ("JavaScript", found.javascript),
                ("standard", found.standard),
            )
        )
        again = ""
        if len(arrivals) > 1:
            same = arrivals[0].body == received.body
            again = f", attempt {len(arrivals)}, {'the same' if same else 'OTHER'} bytes"
        self._say("received", kind, f"{checks} → {received.status}{again}")

    def _say(self, what: str, kind: str, rest: str) -> None:
        self._tell(
            f"{time.monotonic() - self._began:6.2f} s  {what:<8}  {kind:<{self._widest}}  {rest}"
        )

    async def _call(
        self, method: str, path: str, expected: int, *, json: Json | None = None
    ) -> Json:
        try:
            answer = await self._client.request(method, path, json=json)
        except httpx.HTTPError as error:
            raise DemoFailed(f"{self._client.base_url} does not answer: {error}") from error
        if answer.status_code != expected:
            raise DemoFailed(f"{method} {path} was answered {answer.status_code}: {_why(answer)}")
        return {} if expected == httpx.codes.NO_CONTENT else answer.json()


def _why(answer: httpx.Response) -> str:
    """Return what a problem document tells a person."""
    try:
        problem: Json = answer.json()
    except ValueError:
        return answer.text[:200]
    fields = [f"{each['path']}: {each['message']}" for each in problem.get("errors", [])]
    return " ".join((problem.get("detail", ""), *fields))
