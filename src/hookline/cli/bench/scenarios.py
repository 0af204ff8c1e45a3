"""The scenarios: what is sent, to how many, and what lies in the way."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

_WHOLE = 10.0  # seconds that a scenario in its full size is measured for


@dataclass(frozen=True, slots=True)
class Options:
    """What is chosen for all scenarios of a run."""

    seconds: float = 10.0  # that each is measured for
    in_flight: int | None = None  # the integrations' maxInFlight; None: each scenario's own
    processes: int = 1  # of the service


class Kind(Enum):
    """How a scenario goes."""

    FLOW = "flow"  # events are sent and delivered at the same time
    DRAIN = "drain"  # events wait; then the engine starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table."""

    name: str
    summary: str
    kind: Kind = Kind.FLOW
    batch: int = 1  # events a request
    connections: int = 32  # keep-alive
    rate: float | None = None  # events a second, open loop; None: as fast as answers come
    window: int | None = None  # most deliveries on their way; None: no bound
    in_flight: int = 64  # maxInFlight: what the fast receiver of these scenarios is allowed
    integrations: int = 1
    pbxs: int = 1  # over which the integrations are spread evenly
    zipf: bool = False
    queue: bool = False  # SQS instead of a webhook
    waiting: int = 0  # deliveries that wait
    dead: int = 0  # deliveries that wait behind a dead target

    @property
    def fanout(self) -> int:
        """Deliveries of one event."""
        return self.integrations // self.pbxs

    def for_a_run_of(self, seconds: float) -> "Scenario":
        """Return the scenario with less to prepare where it is measured for less than 10 s."""
        share = min(1.0, seconds / _WHOLE)
        spread = self.pbxs > 1
        return replace(
            self,
            waiting=int(self.waiting * share) // self.batch * self.batch,
            dead=int(self.dead * share),
            integrations=int(self.integrations * share) if spread else self.integrations,
            pbxs=int(self.pbxs * share) if spread else self.pbxs,
        )


_WINDOW = 4_000  # deliveries: half a second's work, so that the sender's pace is the service's

SCENARIOS: Final = (
    Scenario(name="single", summary="one event a request, 32 connections"),
    Scenario(
        name="batch",
        summary="100 events a request",
        batch=100,
        connections=8,
        window=_WINDOW,
    ),
    Scenario(name="fanout", summary="1 event to 10 integrations", integrations=10, window=_WINDOW),
    Scenario(
        name="drain",
        summary="100,000 waiting, then the engine starts",
        kind=Kind.DRAIN,
        batch=100,
        connections=8,
        waiting=100_000,
    ),
    Scenario(name="steady", summary="1,000 events a second, open loop", rate=1_000.0),
    Scenario(
        name="sqs",
        summary="100 events a request, to one queue",
        batch=100,
        connections=8,
        window=_WINDOW,
        in_flight=256,  # messages, which go in tens
        queue=True,
    ),
    Scenario(
        name="backlog",
        summary="as single, while 1,000,000 wait behind a dead target",
        dead=1_000_000,
    ),
    Scenario(
        name="lanes",
        summary="as single, to 5,000 integrations by Zipf's law",
        in_flight=16,  # the service's default
        integrations=5_000,
        pbxs=5_000,
        zipf=True,
    ),
)
