"""The health of an integration: which attempts make it failing, paused and healthy again.

Each process counts the failed attempts in a row that it saw itself (`Run`). What all processes
share is one `Health` for each integration that is not healthy. `judge` says which `Step` an attempt
calls for; `take` says what a step does to the shared state. Steps are rare: an attempt that changes
nothing costs no write.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from hookline.domain.deliveries import ErrorKind, Verdict


class HealthState(StrEnum):
    """Where an integration stands; `disabled` is the record's own switch, whatever the health."""

    HEALTHY = "healthy"
    FAILING = "failing"  # the last attempts failed; nothing is held back yet
    PAUSED = "paused"  # deliveries wait without attempts, and one probe goes now and then
    DISABLED = "disabled"


class Evidence(StrEnum):
    """What an attempt tells about its target, as opposed to its delivery."""

    GOOD = "good"
    DOWN = "down"  # not reached, or not able to take anything: sparing it loses nothing
    REFUSED = "refused"  # it answers, and refuses: waiting would not help, so this never pauses
    NONE = "none"  # about the event or about Hookline itself


_EVIDENCE: Final = {
    Verdict.DELIVERED: Evidence.GOOD,
    Verdict.RETRY: Evidence.DOWN,
    Verdict.BLOCKED: Evidence.DOWN,
    Verdict.REJECTED: Evidence.REFUSED,
    Verdict.GONE: Evidence.REFUSED,
    Verdict.TOO_LARGE: Evidence.NONE,
    Verdict.INTERNAL: Evidence.NONE,
}


def evidence_of(verdict: Verdict) -> Evidence:
    """Return what an attempt with this verdict tells about its target."""
    return _EVIDENCE[verdict]


_SLACK: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class HealthRules:
    """When an integration counts as failing, is paused, is probed and is switched off.

    Attempts are counted in a row; `pause_seconds` of failing are needed besides, so that one blip
    of a busy target pauses nothing. Probes go after `first_probe` seconds, then after twice as
    long each time, up to `longest_probe`.
    """

    failing_after: int = 3
    pause_after: int = 20
    pause_seconds: float = 30.0
    first_probe: float = 30.0
    longest_probe: float = 900.0
    disable_after: timedelta = timedelta(days=5)

    @property
    def latest_probe(self) -> float:
        """How many seconds from now a probe can be due at the most, unless the clock went back."""
        return self.longest_probe + _SLACK

    def probe_interval(self, probes: int) -> float:
        """Return the seconds from a pause or its probe of this number until the next probe."""
        return float(min(self.longest_probe, self.first_probe * 2.0 ** min(probes, 30)))


@dataclass(frozen=True, slots=True)
class Health:
    """What all processes know of one integration; `paused_until` is when the next probe may go."""

    state: HealthState = HealthState.HEALTHY
    failing_since: datetime | None = None
    last_error: ErrorKind | None = None
    paused_until: datetime | None = None
    probes: int = 0


HEALTHY: Final = Health()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt told about its target, and when."""

    evidence: Evidence
    error: ErrorKind | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """The failed attempts since the last success, as one process saw them."""

    failures: int = 0
    down: int = 0  # those of them that call for sparing the target
    since: datetime | None = None
    error: ErrorKind | None = None


NO_RUN: Final = Run()


@dataclass(frozen=True, slots=True)
class Fail:
    """From healthy to failing."""

    since: datetime
    error: ErrorKind | None


@dataclass(frozen=True, slots=True)
class Pause:
    """From failing to paused."""

    error: ErrorKind | None


@dataclass(frozen=True, slots=True)
class Recover:
    """From whatever it was to healthy."""


@dataclass(frozen=True, slots=True)
class Disable:
    """Switch the integration off: nothing has got through since then."""

    since: datetime


Step = Fail | Pause | Recover | Disable


def judge(
    health: Health, run: Run, attempt: Attempt, rules: HealthRules
) -> tuple[Run, Step | None]:
    """Count one attempt; return the run with it, and the step that it calls for, if any."""
    if attempt.evidence is Evidence.NONE:
        return run, None
    if attempt.evidence is Evidence.GOOD:
        return NO_RUN, None if health.state is HealthState.HEALTHY else Recover()
    run = Run(
        failures=run.failures + 1,
        down=run.down + (attempt.evidence is Evidence.DOWN),
        since=run.since or attempt.ended_at,
        error=attempt.error,
    )
    return run, _step_after_failure(health, run, attempt.ended_at, rules)


def take(health: Health, step: Step, now: datetime, rules: HealthRules) -> Health:
    """Return the shared state after a step; the same object where the step comes too late."""
    match step:
        case Fail(since=since, error=error) if health.state is HealthState.HEALTHY:
            return Health(HealthState.FAILING, min(since, now), error)
        case Pause(error=error) if health.state is HealthState.FAILING:
            until = now + timedelta(seconds=rules.probe_interval(0))
            return replace(
                health, state=HealthState.PAUSED, last_error=error, paused_until=until, probes=0
            )
        case Recover():
            return HEALTHY
        case _:
            return health


def take_probe(health: Health, now: datetime, rules: HealthRules) -> Health:
    """Return the state once a probe is let through; the same object where none may go yet.

    The next one is due after a longer interval, whatever becomes of this one: a process that dies
    with the probe in its hands delays nothing further. Where the time for it is later than it can
    be, the clock went back since the last probe, and one may go.
    """
    if health.paused_until is None:
        return health
    wait = (health.paused_until - now).total_seconds()
    if 0 < wait <= rules.latest_probe:
        return health
    probes = health.probes + 1
    until = now + timedelta(seconds=rules.probe_interval(probes))
    return replace(health, paused_until=until, probes=probes)


def _step_after_failure(health: Health, run: Run, now: datetime, rules: HealthRules) -> Step | None:
    since = health.failing_since
    if since is None:
        enough = run.failures >= rules.failing_after
        return Fail(run.since or now, run.error) if enough else None
    if now - since >= rules.disable_after:
        return Disable(since)
    if health.state is HealthState.FAILING and _is_down(run, now, rules):
        return Pause(run.error)
    return None


def _is_down(run: Run, now: datetime, rules: HealthRules) -> bool:
    failed_for = (now - run.since).total_seconds() if run.since is not None else 0.0
    return run.down >= rules.pause_after and failed_for >= rules.pause_seconds
