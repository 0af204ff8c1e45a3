"""Sends messages in batches of ten; none overtakes a failed one of its message group.

Of a message group at most one message is out at a time, in a batch with messages of other groups
only: SQS may refuse one entry of a batch and take the next. When a message is not taken but may be
later, those that were waiting behind it are held back with it: answered, not sent. The group is
free again when each of them has been handed back to its caller.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from hookline.background import Tasks
from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.sinks.sqs.messages import Answer, Entry, held_back, stopping, unanswered

_MOST_ENTRIES = 10  # SendMessageBatch's own bound
_MAY_PASS = (Verdict.RETRY, Verdict.INTERNAL)  # the engine tries again after these
_MOST_IN_FLIGHT = 16  # batches of one queue; at AWS's 20 ms an answer, 8,000 messages/s


@dataclass(slots=True, eq=False)
class Waiting:
    """A message on its way through the gatherer; `answer` is what its caller waits for."""

    entry: Entry = field(repr=False)
    size: int  # bytes, as SQS counts them
    group: str | None
    deadline: float  # by the loop's clock
    answer: asyncio.Future[Answer]


@dataclass(slots=True)
class _Group:
    """A message group with a message out, or not yet back with its caller."""

    behind: deque[Waiting] = field(default_factory=deque)
    unsettled: int = 0
    unreturned: int = 0
    failed: bool = False


Ship = Callable[[Sequence[Waiting]], Coroutine[Any, Any, list[Answer]]]


class Gatherer:
    """The messages of one queue.

    `ship` sends a batch, by its earliest deadline, and never raises. `on_idle` is called whenever
    nothing is left to do.
    """

    def __init__(
        self, ship: Ship, on_idle: Callable[[], None], *, most_bytes: int, gather_seconds: float
    ) -> None:
        self._ship = ship
        self._on_idle = on_idle
        self._most_bytes = most_bytes
        self._gather_seconds = gather_seconds
        self._ready: deque[Waiting] = deque()
        self._ready_bytes = 0
        self._groups: dict[str, _Group] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = 0  # batches
        self._tasks = Tasks()
        self._closed = False

    def add(self, message: Waiting) -> None:
        """Take a message; its answer comes by its deadline."""
        if message.group is None:
            self._make_ready(message)
            return
        group = self._groups.setdefault(message.group, _Group())
        group.unreturned += 1
        if group.failed:
            _settle(message, held_back())
        elif group.unsettled:
            group.unsettled += 1
            group.behind.append(message)
        else:
            group.unsettled = 1
            self._make_ready(message)

    def returned(self, message: Waiting) -> None:
        """Note that the caller of a message has its answer, or no longer waits for it."""
        if message.group is not None:
            group = self._groups[message.group]
            group.unreturned -= 1
            self._forget_unused(message.group, group)
        self._look_idle()

    async def aclose(self) -> None:
        """Send no more; wait for what is in flight, which ends by its deadline."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._ready:
            self._settle(self._pop(), stopping())
        await self._tasks.join()

    def _make_ready(self, message: Waiting) -> None:
        if self._closed:
            self._settle(message, stopping())
            return
        self._ready.append(message)
        self._ready_bytes += message.size
        self._start_full()
        if self._ready and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._gather_seconds, self._time_is_up)

    def _start_full(self) -> None:
        while len(self._ready) >= _MOST_ENTRIES or self._ready_bytes >= self._most_bytes:
            if not self._start():
                return

    def _time_is_up(self) -> None:
        self._timer = None
        while self._ready and self._start():
            pass

    def _start(self) -> bool:
        """Send one batch of what is ready; say whether there was room for it."""
        if self._in_flight >= _MOST_IN_FLIGHT:
            return False
        if batch := self._cut():
            self._in_flight += 1
            self._tasks.start(self._send(batch), "sqs-batch")
        return True

    def _cut(self) -> list[Waiting]:
        """Take up to ten ready messages that fit; those whose caller is gone or late don't go."""
        batch: list[Waiting] = []
        size, now = 0, asyncio.get_running_loop().time()
        while self._ready and len(batch) < _MOST_ENTRIES:
            if batch and size + self._ready[0].size > self._most_bytes:
                break
            message = self._pop()
            if message.answer.done() or message.deadline <= now:
                self._settle(
                    message, unanswered(ErrorKind.TIMEOUT, "It waited too long for others.")
                )
            else:
                batch.append(message)
                size += message.size
        return batch

    def _pop(self) -> Waiting:
        message = self._ready.popleft()
        self._ready_bytes -= message.size
        return message

    async def _send(self, batch: Sequence[Waiting]) -> None:
        try:
            for message, answer in zip(batch, await self._ship(batch), strict=True):
                self._settle(message, answer)
        finally:
            # Behind the callers, who have their answers now and may bring more.
            asyncio.get_running_loop().call_soon(self._landed)

    def _landed(self) -> None:
        self._in_flight -= 1
        if self._ready and self._timer is None:
            self._time_is_up()
        else:
            self._start_full()
        self._look_idle()

    def _look_idle(self) -> None:
        if not (self._ready or self._in_flight or self._groups):
            self._on_idle()

    def _settle(self, message: Waiting, answer: Answer) -> None:
        """Answer a message; let the next of its group go, or hold them all back."""
        _settle(message, answer)
        if message.group is None:
            return
        group = self._groups[message.group]
        group.unsettled -= 1
        if answer.verdict in _MAY_PASS:
            group.failed = True
            while group.behind:
                group.unsettled -= 1
                _settle(group.behind.popleft(), held_back())
        elif group.behind:
            self._make_ready(group.behind.popleft())
        self._forget_unused(message.group, group)

    def _forget_unused(self, name: str, group: _Group) -> None:
        if not group.unsettled and not group.unreturned:
            del self._groups[name]


def _settle(message: Waiting, answer: Answer) -> None:
    if not message.answer.done():
        message.answer.set_result(answer)
