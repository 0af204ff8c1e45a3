"""The CPU time of one process that a tenant may use while others send requests too.

Who is alone uses all of it. Beside others a company or a PBX has a quarter, and a short burst: its
requests and the steps of its large bodies then wait for one another, and everybody else's find an
event loop that is free most of the time. Keys of the operator's own systems, which are bound to no
tenant, are never held back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Final, TypeVar

import msgspec

from hookline.domain.access import Principal
from hookline.errors import Overloaded

_Result = TypeVar("_Result")

_SHARE: Final = 0.25  # of a processor, for a tenant beside others
_BURST: Final = 0.02  # seconds of CPU at once
_MOST_DEBT: Final = 1.0  # seconds of CPU; what one request takes beyond is forgiven
_EACH: Final = 0.001  # seconds of CPU that a request counts for until it is known what it takes
_REQUEST: Final = 2e-4  # seconds of CPU to read the head of any request, know its key and answer it
_DELIVERY: Final = 5e-5  # seconds of CPU to match, store and hand over one delivery
_BESIDE: Final = 1.0  # seconds after a request in which its tenant counts as there
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
    """Holds back tenants that used more than their share, while others are there."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._last = self._other = ("", -_BESIDE)  # the latest tenant, and the latest of the others

    async def turn(self, principal: Principal, *, opens_stream: bool = False) -> None:
        """Wait until this caller may use CPU; raise Overloaded where that takes too long.

        Of requests that open a stream more may wait: a service's restart has all of them come.
        """
        tenant, now = tenant_of(principal), self._clock()
        if tenant != self._last[0]:
            self._other = self._last
        self._last = (tenant, now)
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
        if principal.unbound or not self._has_company(tenant, now):
            return 0.0
        account = self._accounts.get(tenant)
        if account is None:
            if len(self._accounts) >= _MOST_ACCOUNTS:
                self._accounts.clear()
            account = self._accounts[tenant] = _Account(_BURST, now, asyncio.Lock())
        self._gain(account, now)
        account.level = max(account.level - seconds, -_MOST_DEBT)
        return max(0.0, -account.level / _SHARE)

    def charge_deliveries(self, principal: Principal, count: int) -> None:
        """Count what an event costs by the deliveries that it fans out to."""
        self.charge(principal, count * _DELIVERY)

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

    def _has_company(self, tenant: str, now: float) -> bool:
        """Whether another tenant sent a request lately."""
        name, at = self._other if self._last[0] == tenant else self._last
        return bool(name) and now - at < _BESIDE

    def _wait(self, account: _Account, tenant: str, now: float) -> float:
        self._gain(account, now)
        if account.level > 0 or not self._has_company(tenant, now):
            return 0.0
        return max(0.001, -account.level / _SHARE)

    @staticmethod
    def _gain(account: _Account, now: float) -> None:
        gained = (now - account.looked_at) * _SHARE
        account.level = min(_BURST, account.level + gained)
        account.looked_at = now


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
