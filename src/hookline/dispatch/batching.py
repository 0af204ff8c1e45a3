"""Batches what many callers write: gathers what arrives while the last batch is being written."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Generic, Protocol, TypeVar

import msgspec

from hookline.background import Tasks
from hookline.errors import Overloaded, Unavailable
from hookline.logs import get_logger

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
ResultT_contra = TypeVar("ResultT_contra", contravariant=True)
Owners = frozenset[str]
_NOBODY: Owners = frozenset()
_ENOUGH = 64  # submissions that make a statement worth its while
_BUSY = 2  # submissions in a batch from which on many callers are at work
_LOG = get_logger(__name__)


class Waiter(Protocol[ResultT_contra]):
    """Who is told what became of a submission, once."""

    def answer(self, results: Sequence[ResultT_contra]) -> None:
        """Take one result for each item, in order."""

    def refuse(self, error: Exception) -> None:
        """Take what `flush` raised instead."""


class _Submission(msgspec.Struct, Generic[ItemT, ResultT]):
    items: Sequence[ItemT]
    waiter: Waiter[ResultT]
    owners: Owners
    weight: int


class _Batch(msgspec.Struct, Generic[ItemT, ResultT]):
    submissions: list[_Submission[ItemT, ResultT]]
    owners: set[str]
    weight: int
    heavy: bool


class Batcher(Generic[ItemT, ResultT]):
    """Group commit: an idle batcher writes at once, a busy one writes what has gathered.

    `flush` gets the items of whole submissions, in order, and returns one result for each item.
    At most `writers` flushes run at a time, each of about `largest` in weight. A writer that is
    busy leaves `pause` seconds for the next batch to gather, since a statement costs far more than
    a row in it; who is alone never waits for a clock. Where nobody waits for the results, every
    batch is left `linger` seconds to gather instead, until `_ENOUGH` have or one of them is urgent.
    When a flush of several submissions fails for a reason other than the database's absence or its
    load, each is flushed alone, so that one bad submission spoils no other.

    Owners, of whom a submission may have several, take turns. Submissions of `heavy` weight go in
    batches of their own, of which one is written beside the `writers`: nobody else waits for it.
    Nothing of an owner is written in two batches at a time.
    """

    def __init__(  # noqa: PLR0913 - each is a bound of its own
        self,
        flush: Callable[[Sequence[ItemT]], Awaitable[list[ResultT]]],
        *,
        name: str,
        largest: int = 500,
        writers: int = 1,
        pause: float = 0.0,
        linger: float = 0.0,
        heavy: float = inf,
    ) -> None:
        self._flush = flush
        self._name = name
        self._largest = largest
        self._writers = writers
        self._pause = pause
        self._linger = linger
        self._urgent = False  # what has gathered is not to wait for more
        self._gathering: asyncio.Future[None] | None = None  # done when a batch need not linger
        self._heavy = heavy
        self._gathered: dict[Owners, deque[_Submission[ItemT, ResultT]]] = {}  # whose turn is first
        self._count = self._weight = 0  # of all that is gathered
        self._batches: list[_Batch[ItemT, ResultT]] = []  # being written
        self._writing = 0  # writers at work, which is fewer than tasks that have not quite ended
        self._tasks = Tasks(essential=True)

    async def submit(
        self, items: Sequence[ItemT], *, owners: Owners = _NOBODY, weight: int | None = None
    ) -> Sequence[ResultT]:
        """Have these items written with whatever else is due; return their results in order.

        `weight`: how much work they are, where they are not as much as they are many. Raises what
        `flush` raised. A caller that is cancelled gives up the answer, not the write.
        """
        done: asyncio.Future[Sequence[ResultT]] = asyncio.get_running_loop().create_future()
        self.offer(items, _Caller(done), owners=owners, weight=weight)
        try:
            return await done
        finally:
            del done  # an error in it would keep itself alive, by its traceback, and the items too

    def offer(
        self,
        items: Sequence[ItemT],
        waiter: Waiter[ResultT],
        *,
        owners: Owners = _NOBODY,
        weight: int | None = None,
        urgent: bool = False,
    ) -> None:
        """As `submit`, without waiting: the waiter is told. `urgent`: it does not linger."""
        weight = len(items) if weight is None else weight
        queue = self._gathered.setdefault(owners, deque())
        queue.append(_Submission(items, waiter, owners, weight))
        self._count += 1
        self._weight += weight
        if urgent or self._count >= _ENOUGH:
            self._hurry()
        self._start_writer_if_needed()

    async def idle(self) -> None:
        """Return when nothing is being written and nothing waits to be."""
        while self._tasks:
            self._hurry()
            await self._tasks.wait()

    def _start_writer_if_needed(self) -> None:
        most = self._writers + any(batch.heavy for batch in self._batches)
        if self._writing >= most:
            return
        self._writing += 1
        self._tasks.start(self._write(), f"{self._name}-writer")

    async def _write(self) -> None:
        try:
            await asyncio.sleep(0)  # everything that is ready in this turn of the loop joins
            while await self._gather() and (batch := self._take()) is not None:
                self._batches.append(batch)
                if batch.heavy and self._gathered:
                    self._start_writer_if_needed()  # what is light waits no longer
                try:
                    await self._write_batch(batch.submissions)
                finally:
                    self._batches.remove(batch)
                if self._linger:
                    continue
                if len(batch.submissions) >= _BUSY and self._weight < self._largest:
                    await asyncio.sleep(self._pause)
        finally:
            self._writing -= 1  # at once: what is offered from here on needs a new writer

    async def _gather(self) -> bool:
        """Linger, where this batcher does; tell whether there is anything to write."""
        if not self._gathered or not self._linger or self._urgent or self._count >= _ENOUGH:
            return bool(self._gathered)
        loop = asyncio.get_running_loop()
        self._gathering = loop.create_future()
        timer = loop.call_later(self._linger, self._hurry)
        try:
            await self._gathering
        finally:
            timer.cancel()
        return True

    def _hurry(self) -> None:
        self._urgent = True
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)

    def _take(self) -> _Batch[ItemT, ResultT] | None:
        """Take the next batch, submissions of all in turn; None: all wait."""
        self._urgent = False
        batch: _Batch[ItemT, ResultT] | None = None
        took = True
        while took:
            took = False
            for owners in list(self._gathered):
                first = self._gathered[owners][0]
                if batch is None and self._may_begin(first):
                    batch = _Batch([], set(), 0, heavy=first.weight >= self._heavy)
                elif batch is None or not self._may_join(first, batch):
                    continue
                self._move(owners, batch)
                took = True
        return batch

    def _may_begin(self, first: _Submission[ItemT, ResultT]) -> bool:
        """Whether a batch may begin with it: one heavy one at a time, and none of its owners'."""
        heavy = first.weight >= self._heavy
        return not any(
            (heavy and each.heavy) or not each.owners.isdisjoint(first.owners)
            for each in self._batches
        )

    def _may_join(self, first: _Submission[ItemT, ResultT], batch: _Batch[ItemT, ResultT]) -> bool:
        return self._fits(first, batch) and all(
            each.owners.isdisjoint(first.owners) for each in self._batches
        )

    def _fits(self, first: _Submission[ItemT, ResultT], batch: _Batch[ItemT, ResultT]) -> bool:
        return (
            batch.heavy == (first.weight >= self._heavy)
            and batch.weight + first.weight <= self._largest
        )

    def _move(self, owners: Owners, batch: _Batch[ItemT, ResultT]) -> None:
        """Move the first of these owners' submissions into a batch; others are next.

        Where no others wait, all that fit follow it.
        """
        queue = self._gathered.pop(owners)
        alone = not self._gathered
        while True:
            taken = queue.popleft()
            self._count -= 1
            self._weight -= taken.weight
            batch.submissions.append(taken)
            batch.weight += taken.weight
            if not (alone and queue and self._fits(queue[0], batch)):
                break
        batch.owners |= owners
        if queue:
            self._gathered[owners] = queue

    async def _write_batch(self, batch: list[_Submission[ItemT, ResultT]]) -> None:
        try:
            results = await self._flush([item for each in batch for item in each.items])
        except (Unavailable, Overloaded) as error:
            _refuse(batch, error)
        except Exception as error:  # noqa: BLE001 - its callers get it; the writer must go on
            if len(batch) == 1:
                _refuse(batch, error)
                return
            _LOG.warning("batch.split", batcher=self._name, size=len(batch), exc_info=True)
            for each in batch:
                await self._write_batch([each])
        else:
            _answer(batch, results)


class _Caller(Generic[ResultT]):
    """A task that waits, or has given up waiting; it is told once, and forgotten."""

    __slots__ = ("_done",)

    def __init__(self, done: asyncio.Future[Sequence[ResultT]]) -> None:
        self._done: asyncio.Future[Sequence[ResultT]] | None = done

    def answer(self, results: Sequence[ResultT]) -> None:
        done, self._done = self._done, None
        if done is not None and not done.done():
            done.set_result(results)

    def refuse(self, error: Exception) -> None:
        done, self._done = self._done, None
        if done is not None and not done.done():
            done.set_exception(error)


def _answer(batch: list[_Submission[ItemT, ResultT]], results: list[ResultT]) -> None:
    position = 0
    for each in batch:
        end = position + len(each.items)
        try:
            each.waiter.answer(results[position:end])
        except Exception:  # noqa: BLE001 - what one makes of its answer must not cost others theirs
            _LOG.exception("batch.answer_failed")
        position = end


def _refuse(batch: list[_Submission[ItemT, ResultT]], error: Exception) -> None:
    for each in batch:
        try:
            each.waiter.refuse(error)
        except Exception:  # noqa: BLE001 - as above
            _LOG.exception("batch.answer_failed")
