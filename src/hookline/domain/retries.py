"""Retry policies, a group's own too: what one attempt's result means, given those so far.

The strategies are tenacity's; the count that they look at is the durable one of the database, so a
restart neither forgives nor forgets an attempt. Nothing here sleeps: a retry is a due time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from tenacity import (
    RetryCallState,
    Retrying,
    stop_after_attempt,
    wait_chain,
    wait_fixed,
    wait_none,
    wait_random,
)

from hookline.domain.deliveries import (
    Delivered,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    Verdict,
)
from hookline.domain.ids import uuid_of

LATEST: Final = "latest"
MOST_RETRIES: Final = 3  # what receivers are told
LONGEST_DELAY: Final = 86_400.0  # seconds: a day
LONGEST_AGE: Final = 2_592_000.0  # seconds: 30 days
DEFAULT_DELAYS: Final = (5.0, 30.0, 120.0)  # seconds before the first, second and third retry
DEFAULT_JITTER: Final = 0.1  # up to a tenth longer, so that a recovering target is not hit at once
DEFAULT_RETRY_AFTER_CAP: Final = 3600.0  # seconds: a target may ask for a pause, not for oblivion

_LONGEST_HEADER: Final = 64  # characters of a Retry-After; the longest valid date has 33
_LONGEST_PAUSE: Final = 31_536_000.0  # a year, in seconds: enough for every cap above it
_REMEMBERED: Final = 1_024  # policies of different delays; others are made anew
_USELESS: Final = {  # verdicts that no retry can better
    Verdict.REJECTED: FailReason.REJECTED,
    Verdict.GONE: FailReason.GONE,
    Verdict.BLOCKED: FailReason.BLOCKED,
    Verdict.TOO_LARGE: FailReason.TOO_LARGE,
}


class RetryPolicy:
    """One attempt, then at most one retry for each of `delays`, in seconds.

    `jitter` is the greatest part of a delay that is added to it at random; 0 makes the policy
    exact. A target's `Retry-After` can lengthen a delay, up to `retry_after_cap` seconds, and
    never shortens it.
    """

    def __init__(
        self,
        delays: Sequence[float] = DEFAULT_DELAYS,
        *,
        jitter: float = DEFAULT_JITTER,
        retry_after_cap: float = DEFAULT_RETRY_AFTER_CAP,
    ) -> None:
        self.attempts = len(delays) + 1
        self._retry_after_cap = retry_after_cap
        self._strategies = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_chain(
                *(wait_fixed(delay) + wait_random(0, delay * jitter) for delay in delays),
                wait_none(),  # after the last attempt, which `stop` ends; a chain may not be empty
            ),
        )

    def exhausted(self, attempt: int) -> bool:
        """Whether the attempt of this number, counted from 1, was the last one allowed."""
        return bool(self._strategies.stop(self._state(attempt)))

    def decide(self, sent: Sent, attempt: int) -> Outcome:
        """Turn the result of the attempt of this number, counted from 1, into an outcome."""
        match sent.verdict:
            case Verdict.DELIVERED:
                return Delivered()
            case Verdict.RETRY:
                return self._again(sent, attempt, otherwise=FailReason.EXHAUSTED)
            case Verdict.INTERNAL:
                return self._again(sent, attempt, otherwise=FailReason.INTERNAL)
            case verdict:
                return Failed(_USELESS[verdict])

    def _again(self, sent: Sent, attempt: int, *, otherwise: FailReason) -> RetryAt | Failed:
        if self.exhausted(attempt):
            return Failed(otherwise)
        delay = float(self._strategies.wait(self._state(attempt)))
        asked = min(sent.retry_after or 0.0, self._retry_after_cap)
        return RetryAt(delay=max(delay, asked))

    def _state(self, attempt: int) -> RetryCallState:
        state = RetryCallState(self._strategies, fn=None, args=(), kwargs={})
        state.attempt_number = attempt
        return state


class RetryPolicies:
    """The policy of each delivery: by its integration's own delays, its group's, or the default.

    `by_group`: delays of the groups whose events have others than `default`.
    """

    def __init__(
        self,
        default: Sequence[float] = DEFAULT_DELAYS,
        by_group: Mapping[str, Sequence[float]] | None = None,
        *,
        jitter: float = DEFAULT_JITTER,
        retry_after_cap: float = DEFAULT_RETRY_AFTER_CAP,
    ) -> None:
        self._default = tuple(default)
        self._by_group = {group: tuple(delays) for group, delays in (by_group or {}).items()}

        @lru_cache(maxsize=_REMEMBERED)
        def policy(delays: tuple[float, ...]) -> RetryPolicy:
            return RetryPolicy(delays, jitter=jitter, retry_after_cap=retry_after_cap)

        self._policy = policy

    def of(self, group: str | None, own: tuple[float, ...] | None = None) -> RetryPolicy:
        """Return the policy for events of a group, where an integration has delays of its own."""
        if own is None:
            own = self._by_group.get(group, self._default) if group else self._default
        return self._policy(own)


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` (RFC 9110, 10.2.3) asks for; None: it says nothing.

    `now` is aware. Never negative, never more than a year, never an error, whatever bytes a
    target sends.
    """
    text = value.strip()
    if not text or not text.isascii():
        return None
    if text.isdigit():
        return min(float(text), _LONGEST_PAUSE)
    moment = _date(text)
    if moment is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), _LONGEST_PAUSE)


def _date(text: str) -> datetime | None:
    if len(text) > _LONGEST_HEADER:
        return None
    try:
        moment = parsedate_to_datetime(text)
        # an HTTP date is always GMT; the parser leaves the zone out where the text does
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """What an integration asked for of one group's events.

    `retry_delays`: seconds before each retry; None leaves the service's own. `max_age`: seconds
    after acceptance for which an event is sent. `keep_latest`: of several that wait, of one type
    and subject, only the newest is sent.
    """

    retry_delays: tuple[float, ...] | None = None
    max_age: float | None = None
    keep_latest: bool = False


GroupPolicies = Mapping[str, GroupPolicy]
"""By a group's name; what an integration says nothing of is left out."""

NO_POLICY: Final = GroupPolicy()


def restore_policies(document: Mapping[str, Mapping[str, Any]]) -> GroupPolicies:
    """Understand `delivery` as it is stored: as the API shows it, without what is left out."""
    return {
        group: GroupPolicy(
            retry_delays=tuple(parts["retryDelays"]) if "retryDelays" in parts else None,
            max_age=parts.get("maxAge"),
            keep_latest=parts.get("keep") == LATEST,
        )
        for group, parts in document.items()
    }


def replacement_key(event_type: str, subject: str) -> UUID:
    """Return what events share that replace one another: a digest of their type and subject."""
    named = f"{event_type}\0{subject}".encode(errors="surrogatepass")
    return uuid_of(hashlib.sha256(named).digest()[:16])
