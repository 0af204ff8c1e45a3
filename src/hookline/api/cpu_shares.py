"""Throttles a tenant's requests by the CPU time they take, while others send requests.

Who is alone uses all of it. Beside others a company or a PBX has a quarter, and a short burst: its
requests and the steps of its large bodies then wait for one another, and everybody else's find an
event loop that is free most of the time. Keys of the operator's own systems, which are bound to no
tenant, are never held back.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Final, TypeVar

import msgspec

from hookline.dispatch.pace import SHARE, Presence
from hookline.domain.access import Principal
from hookline.errors import Overloaded

_Result = TypeVar("_Result")

_BURST: Final = 0.02  # seconds of CPU at once
_MOST_DEBT: Final = 1.0  # seconds of CPU; what one request takes beyond is forgiven
_EACH: Final = 0.001  # seconds of CPU that a request counts for until it is known what it takes
_REQUEST: Final = 2e-4  # seconds of CPU to read the head of any request, know its key and answer it
_EVENT: Final = 3e-5  # seconds of CPU to route, store and answer one event of a batch
_DELIVERY: Final = 5e-5  # seconds of CPU to match, store and hand over one delivery
_PATIENCE: Final = 5.0  # seconds that a request waits
_MOST_WAITING: Final = 64  # requests of one tenant
_MOST_OPENING: Final = 500  # streams of one tenant that wait to begin: all come after a break
_MOST_ACCOUNTS: Final = 10_000  # tenants remembered; forgetting one forgives what it used
_RETRY_AFTER: Final = 2.0  # seconds


class _Account(msgspec.Struct):
    level: float  # seconds of CPU that may be used now; negative after a long step
    looked_at: float
    turn: asyncio.Lock
    waiting: int = 0
    opening: int = 0  # streams that wait likewise


class CpuShares:
    """Holds back tenants that used more than their share, while others are there.

    `share` is of a processor. `presence` knows who sends requests.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, share: float = SHARE
    ) -> None:
        self.presence = Presence(clock)
        self.share = share
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    async def throttle(self, principal: Principal, *, opens_stream: bool = False) -> None:
        """Wait until this caller may use CPU; raise Overloaded where that takes too long.

        Of requests that open a stream more may wait: a service's restart has all of them come.
        """
        tenant, now = tenant_of(principal), self._clock()
        self.presence.saw(tenant)
        account = self._accounts.get(tenant)
        if account is None or (
            self._wait(account, tenant, now) <= 0 and not account.waiting + account.opening
        ):
            self.charge(principal, _REQUEST)
            return
        if opens_stream:
            if account.opening >= _MOST_OPENING:
                raise _too_much()
            account.opening += 1
        else:
            if account.waiting >= _MOST_WAITING:
                raise _too_much()
            account.waiting += 1
        try:
            await self._wait_in_line(account, tenant)
        finally:
            if opens_stream:
                account.opening -= 1
            else:
                account.waiting -= 1

    async def _wait_in_line(self, account: _Account, tenant: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE), account.turn:
                while (wait := self._wait(account, tenant, self._clock())) > 0:  # noqa: ASYNC110 - for time
                    await asyncio.sleep(wait)
                account.level -= _EACH
        except TimeoutError as error:
            raise _too_much() from error

    def charge(self, principal: Principal, seconds: float) -> float:
        """Count CPU time; return for how many seconds its tenant should use none."""
        tenant, now = tenant_of(principal), self._clock()
        if principal.unbound or not self.presence.beside(tenant):
            return 0.0
        account = self._accounts.get(tenant)
        if account is None:
            if len(self._accounts) >= _MOST_ACCOUNTS:
                self._accounts.clear()
            account = self._accounts[tenant] = _Account(_BURST, now, asyncio.Lock())
        self._gain(account, now)
        account.level = max(account.level - seconds, -_MOST_DEBT)
        return max(0.0, -account.level / self.share)

    def charge_stored(self, principal: Principal, events: int, deliveries: int) -> None:
        """Count what events cost by how many they are, and by what they fan out to."""
        self.charge(principal, events * _EVENT + deliveries * _DELIVERY)

    def rest_after(self, principal: Principal) -> Callable[[float], float]:
        """Return what counts each step of a job, and says how long to rest after it."""
        return lambda seconds: self.charge(principal, seconds)

    def measured(
        self, principal: Principal, work: Coroutine[Any, Any, _Result]
    ) -> Awaitable[_Result]:
        """Run it, and count the CPU time of each of its steps."""
        if principal.unbound:
            return work
        return _measured(work, lambda seconds: self.charge(principal, seconds))

    def _wait(self, account: _Account, tenant: str, now: float) -> float:
        self._gain(account, now)
        if account.level > 0 or not self.presence.beside(tenant):
            return 0.0
        return max(0.001, -account.level / self.share)

    def _gain(self, account: _Account, now: float) -> None:
        gained = (now - account.looked_at) * self.share
        account.level = min(_BURST, account.level + gained)
        account.looked_at = now


def share_beside_others(processes: int) -> float:
    """Return the share of a tenant in each of so many processes of this machine.

    Where those leave no processor to Postgres, it is smaller: all of it together is an eighth of
    the machine at the most.
    """
    linux = sys.platform == "linux"
    processors = len(os.sched_getaffinity(0)) if linux else os.cpu_count() or 1
    return SHARE * min(1.0, processors / (2 * processes))


def tenant_of(principal: Principal) -> str:
    """Return whose share it is: a company's or a PBX's; a key's that is bound to neither."""
    if principal.company is not None:
        return f"company {principal.company}"
    return f"PBX {principal.pbx}" if principal.pbx is not None else f"key {principal.key_id}"


@coroutine
def _measured(
    work: Coroutine[Any, Any, _Result], charge: Callable[[float], float]
) -> Generator[Any, Any, _Result]:  # Any: what the event loop and futures hand to each other
    resume: Callable[[], Any] = lambda: work.send(None)  # noqa: E731 - replaced below
    while True:
        started = time.thread_time()
        try:
            waits_for = resume()
        except StopIteration as end:
            result: _Result = end.value
            return result
        finally:
            charge(time.thread_time() - started)
        try:
            value = yield waits_for
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it is the work's to handle
            resume = _throwing(work, error)
        else:
            resume = _sending(work, value)


def _sending(work: Coroutine[Any, Any, Any], value: object) -> Callable[[], Any]:
    return lambda: work.send(value)


def _throwing(work: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: work.throw(error)


def _too_much() -> Overloaded:
    return Overloaded(
        "Your requests take more CPU time than your share while others send some too; send fewer,"
        " smaller or cheaper ones, and come again when Retry-After says.",
        retry_after=_RETRY_AFTER,
    )
