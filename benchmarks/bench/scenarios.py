"""The scenarios: what is sent, to how many, and what lies in the way."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

WHOLE: Final = 10.0  # seconds that a scenario in its full size is measured for


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
    CROWD = "crowd"  # every other integration may hang, and the others are watched
    ABUSE = "abuse"  # one tenant takes all that it can, and the others are watched
    FLOOD = "flood"  # the first integration is sent nearly all events, and the others are watched


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
    in_flight: int | None = 64  # maxInFlight: what these fast receivers are allowed; None: adapts
    integrations: int = 1
    passing: int | None = None  # of a PBX's, whose filters let events pass; None: no filters
    pbxs: int = 1  # over which the integrations are spread evenly
    zipf: bool = False
    queue: bool = False  # SQS instead of a webhook
    waiting: int = 0  # deliveries that wait
    dead: int = 0  # deliveries that wait behind a dead target
    dead_integrations: int = 0  # of a tenant that takes all it can
    hostile_integrations: int = 0  # of that tenant, instead: its receivers are the attack
    tls: bool = False  # the receivers speak HTTPS
    origins: int | None = None  # over which the integrations are spread; None: each its own, to 256
    delays: tuple[float, float] = (0.0, 0.0)  # seconds until the quickest and slowest origin answer
    close: bool = False  # each answer ends its connection
    workers: int | None = None  # of each origin, each busy for its delay; None: as many as it takes
    hands: int | None = None  # the service's MAX_IN_FLIGHT; None: the default
    hang: bool = False  # the receiver of every other integration never answers
    paused: bool = False  # and those integrations are paused before it begins
    times: float = 1.0  # as long as the other scenarios
    longest: float = 3_600.0  # seconds
    against: str | None = None  # the scenario that its figures are a share of

    @property
    def trouble(self) -> range:
        """The PBXs, and integrations, that may harm the others."""
        return range(0, self.pbxs, 2) if self.kind is Kind.CROWD else range(1)

    @property
    def others(self) -> range:
        """The PBXs, and integrations, that are watched."""
        if self.kind is Kind.ABUSE:
            return range(self.pbxs)  # the one that abuses has PBXs of its own
        return range(1, self.pbxs, 2 if self.kind is Kind.CROWD else 1)

    @property
    def fanout(self) -> int:
        """Deliveries of one event."""
        return self.integrations // self.pbxs if self.passing is None else self.passing

    def for_a_run_of(self, seconds: float) -> "Scenario":
        """Return the scenario with less to prepare where it is measured for less than 10 s."""
        share = min(1.0, seconds / WHOLE)
        smaller = replace(
            self,
            waiting=int(self.waiting * share) // self.batch * self.batch,
            dead=int(self.dead * share),
            dead_integrations=int(self.dead_integrations * share),
        )
        if self.pbxs == 1 or self.kind is Kind.ABUSE:
            return smaller
        pairs = 2 if self.kind is Kind.CROWD else 1
        pbxs = max(2, int(self.pbxs * share) // pairs * pairs)
        of_each = self.integrations // self.pbxs
        return replace(smaller, pbxs=pbxs, integrations=pbxs * of_each)

    def measured_for(self, seconds: float) -> float:
        """Return how long it is measured where others are measured for `seconds`."""
        return min(self.longest, self.times * seconds)


_WINDOW = 4_000  # deliveries: half a second's work, so that the sender's pace is the service's
_CROWD = Scenario(
    name="crowd",
    summary="as single, to 1,000 integrations evenly; the same half watched as in hung",
    kind=Kind.CROWD,
    in_flight=None,  # the service's default
    integrations=1_000,
    pbxs=1_000,
    times=2.0,
    longest=30.0,  # seconds: 30 after its first failure a hung integration may be paused
)
_ABUSE = Scenario(
    name="abuse",
    summary="50 events a second to 10 integrations, while a tenant takes all that it can",
    kind=Kind.ABUSE,
    rate=50.0,
    in_flight=16,
    integrations=10,
    pbxs=10,
    dead_integrations=2_000,
)

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
        name="filters",
        summary="as fanout: 10 of 100 integrations, each with a filter of four leaves",
        integrations=100,
        passing=10,
        window=_WINDOW,
        against="fanout",
    ),
    Scenario(name="tls", summary="as single, over TLS", tls=True, against="single"),
    Scenario(
        name="origin",
        summary="1 event to 10 of 100 integrations on one HTTPS origin",
        integrations=100,
        pbxs=10,
        in_flight=16,
        window=_WINDOW,
        tls=True,
        origins=1,
        against="fanout",
    ),
    Scenario(
        name="distant",
        summary="1 event to 10 of 2,000 integrations on 50 HTTPS origins, 50–300 ms away",
        integrations=2_000,
        pbxs=200,
        in_flight=64,
        window=8_000,
        hands=16_384,
        tls=True,
        origins=50,
        delays=(0.05, 0.3),
        against="fanout",
    ),
    Scenario(
        name="cold",
        summary="as single, to 1,000 integrations on 250 HTTPS origins that close each connection",
        integrations=1_000,
        pbxs=1_000,
        in_flight=16,
        tls=True,
        origins=250,
        close=True,
        against="tls",
    ),
    Scenario(
        name="patient",
        summary="as single, to 10 integrations that answer after 150 ms; in flight: null",
        integrations=10,
        pbxs=10,
        in_flight=None,
        delays=(0.15, 0.15),
        against="single",
    ),
    Scenario(
        name="knee",
        summary="2,000 events a second, for 10 s, to 4 origins of 20 workers, 50 ms each: they"
        " take 1,600; in flight: null",
        rate=2_000.0,
        integrations=4,
        pbxs=4,
        in_flight=None,
        delays=(0.05, 0.05),
        workers=20,
        longest=10.0,  # seconds: what is left over takes a quarter as long
    ),
    Scenario(
        name="drain",
        summary="100,000 waiting, then the engine starts",
        kind=Kind.DRAIN,
        batch=100,
        connections=8,
        waiting=100_000,
    ),
    Scenario(name="steady", summary="1,000 events a second, open loop", rate=1_000.0),
    Scenario(name="quiet", summary="200 events a second, open loop", rate=200.0),
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
        against="single",
    ),
    Scenario(
        name="lanes",
        summary="as single, to 5,000 integrations by Zipf's law",
        in_flight=None,  # the service's default
        integrations=5_000,
        pbxs=5_000,
        zipf=True,
        against="single",
    ),
    _CROWD,
    replace(
        _CROWD,
        name="hung",
        summary="as crowd, while the receivers of 500 hang; from their first event on",
        hang=True,
        against="crowd",
    ),
    replace(
        _CROWD,
        name="paused",
        summary="as hung, once the 500 are paused",
        hang=True,
        paused=True,
        against="crowd",
    ),
    Scenario(
        name="flood",
        summary="200 events a second to 100 integrations, while one more gets all it can",
        kind=Kind.FLOOD,
        rate=200.0,  # a tenth of what a small machine takes, so that the flood is nine tenths
        in_flight=None,
        integrations=101,
        pbxs=101,
    ),
    _ABUSE,
    replace(
        _ABUSE,
        name="hostile",
        summary="50 events a second to 10 integrations, while a tenant's 100 receivers are hostile",
        dead_integrations=0,
        hostile_integrations=100,
    ),
)
