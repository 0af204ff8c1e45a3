import asyncio
from collections.abc import Callable, Sequence

import pytest

from hookline.domain.deliveries import Verdict
from hookline.sinks.sqs.gatherer import Gatherer, Waiting
from hookline.sinks.sqs.messages import Answer

GOOD = Answer(Verdict.DELIVERED)
AGAIN = Answer(Verdict.RETRY)
NEVER = Answer(Verdict.REJECTED)


class Post:
    """The far side: batches arrive here and are answered when, and as, the test says."""

    def __init__(self, *, most_bytes: int = 1000, gather_seconds: float = 0.0) -> None:
        self.batches: list[list[str]] = []
        self.idle_calls = 0
        self._arrived = asyncio.Condition()
        self._answers: dict[str, Answer] = {}
        self._released = asyncio.Event()
        self._released.set()
        self.gatherer = Gatherer(
            self._ship, self._idle, most_bytes=most_bytes, gather_seconds=gather_seconds
        )

    def hold(self) -> Callable[[], None]:
        """Let batches wait for their answers until the returned function is called."""
        self._released.clear()
        return self._released.set

    def answer(self, name: str, answer: Answer) -> None:
        """Answer this message so; all others are taken."""
        self._answers[name] = answer

    def message(
        self, name: str, group: str | None = None, size: int = 1, due: float = 5
    ) -> Waiting:
        """Return a message that is due in so many seconds."""
        loop = asyncio.get_running_loop()
        return Waiting({"n": name}, size, group, loop.time() + due, loop.create_future())

    async def send(self, name: str, group: str | None = None, size: int = 1, due: float = 5) -> str:
        """Send as the sink does; return the verdict."""
        message = self.message(name, group, size, due)
        self.gatherer.add(message)
        try:
            return (await message.answer).verdict
        finally:
            self.gatherer.returned(message)

    def start(self, *names: str, group: str | None = None) -> list[asyncio.Task[str]]:
        """Call `send` for each, in order."""
        return [asyncio.create_task(self.send(name, group)) for name in names]

    async def arrived(self, batches: int) -> None:
        """Wait until so many batches have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.batches) >= batches)

    async def _ship(self, batch: Sequence[Waiting]) -> list[Answer]:
        names = [message.entry["n"] for message in batch]
        async with self._arrived:
            self.batches.append(names)
            self._arrived.notify_all()
        await self._released.wait()
        return [self._answers.get(name, GOOD) for name in names]

    def _idle(self) -> None:
        self.idle_calls += 1


async def test_ten_messages_go_at_once_without_waiting_for_more() -> None:
    post = Post(gather_seconds=3600)
    assert await asyncio.gather(*post.start(*"abcdefghij")) == ["delivered"] * 10
    assert post.batches == [list("abcdefghij")]


async def test_fewer_go_together_when_the_gathering_time_is_up() -> None:
    post = Post(gather_seconds=0.001)
    await asyncio.gather(*post.start(*"abc"))
    assert post.batches == [list("abc")]


async def test_a_batch_stays_within_the_size_limit() -> None:
    post = Post(most_bytes=100)
    await asyncio.gather(*(post.send(name, size=40) for name in "abcde"))
    assert post.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_several_batches_of_a_standard_queue_are_in_flight_together() -> None:
    post = Post()
    release = post.hold()
    sending = post.start(*(str(n) for n in range(30)))
    await post.arrived(3)
    release()
    assert await asyncio.gather(*sending) == ["delivered"] * 30


async def test_at_most_sixteen_batches_are_in_flight_and_the_rest_follows() -> None:
    post = Post(gather_seconds=0.001)
    release = post.hold()
    sending = post.start(*(str(n) for n in range(175)))
    await post.arrived(16)
    await asyncio.sleep(0.005)  # longer than the gathering time: were there room, it would be used
    assert len(post.batches) == 16
    release()
    assert await asyncio.gather(*sending) == ["delivered"] * 175
    assert sum(len(batch) for batch in post.batches) == 175


async def test_one_refused_entry_spoils_no_other() -> None:
    post = Post()
    post.answer("b", NEVER)
    assert await asyncio.gather(*post.start(*"abc")) == ["delivered", "rejected", "delivered"]


async def test_of_a_group_one_message_is_out_at_a_time_in_order() -> None:
    post = Post()
    await asyncio.gather(*post.start(*"abcd", group="call-1"))
    assert post.batches == [["a"], ["b"], ["c"], ["d"]]


async def test_messages_of_different_groups_share_a_batch() -> None:
    post = Post()
    sending = [post.start(*names, group=group) for group, names in (("x", "ac"), ("y", "bd"))]
    await asyncio.gather(*sending[0], *sending[1])
    assert post.batches == [["a", "b"], ["c", "d"]]


async def test_a_failed_message_is_not_overtaken_by_those_behind_it() -> None:
    post = Post()
    post.answer("a", AGAIN)
    assert await asyncio.gather(*post.start(*"abc", group="x")) == ["retry"] * 3
    assert post.batches == [["a"]]


async def test_other_groups_go_on_while_one_is_held_back() -> None:
    post = Post()
    post.answer("a", AGAIN)
    failing, going = post.start(*"ab", group="x"), post.start(*"cd", group="y")
    assert await asyncio.gather(*failing) == ["retry"] * 2
    assert await asyncio.gather(*going) == ["delivered"] * 2


async def test_what_comes_before_the_failed_one_is_back_with_its_caller_is_held_back() -> None:
    post = Post()
    post.answer("a", AGAIN)
    first, second = post.message("a", "x"), post.message("b", "x")
    post.gatherer.add(first)
    await first.answer
    post.gatherer.add(second)
    assert (await second.answer).verdict == "retry"
    post.gatherer.returned(first)
    post.gatherer.returned(second)
    assert await post.send("c", "x") == "delivered"
    assert post.batches == [["a"], ["c"]]


async def test_the_retry_goes_when_the_failed_one_is_back_with_its_caller() -> None:
    post = Post()
    post.answer("a", AGAIN)
    assert await post.send("a", "x") == "retry"
    post.answer("a", GOOD)
    assert await asyncio.gather(*post.start("a", "b", group="x")) == ["delivered"] * 2
    assert post.batches == [["a"], ["a"], ["b"]]


async def test_a_message_that_failed_for_good_lets_the_next_one_go() -> None:
    post = Post()
    post.answer("a", NEVER)
    assert await asyncio.gather(*post.start(*"ab", group="x")) == ["rejected", "delivered"]


async def test_a_caller_that_gives_up_leaves_its_group_in_order() -> None:
    post = Post()
    release = post.hold()
    first, second, third = post.start(*"abc", group="x")
    await post.arrived(1)
    first.cancel()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    release()
    assert await third == "retry"  # b never went, so c must not overtake it
    assert post.batches == [["a"]]


async def test_a_message_whose_time_is_up_before_its_turn_is_not_sent() -> None:
    post = Post()
    release = post.hold()
    (first,) = post.start("a", group="x")
    await post.arrived(1)
    second = asyncio.create_task(post.send("b", "x", due=-1))
    await asyncio.sleep(0)
    release()
    assert [await first, await second] == ["delivered", "retry"]
    assert post.batches == [["a"]]


async def test_closing_answers_what_waits_and_lets_what_flies_land() -> None:
    post = Post(gather_seconds=3600)
    release = post.hold()
    flying = post.start(*"abcdefghij")
    waiting = post.start("k")
    await post.arrived(1)
    closing = asyncio.create_task(post.gatherer.aclose())
    assert await waiting[0] == "internal"
    release()
    assert await asyncio.gather(*flying) == ["delivered"] * 10
    await closing
    assert post.batches == [list("abcdefghij")]


async def test_closing_sends_nothing_that_waits_behind_a_group() -> None:
    post = Post()
    release = post.hold()
    first, second = post.start(*"ab", group="x")
    await post.arrived(1)
    closing = asyncio.create_task(post.gatherer.aclose())
    await asyncio.sleep(0)
    release()
    assert [await first, await second] == ["delivered", "internal"]
    await closing
    assert post.batches == [["a"]]


async def test_it_says_when_nothing_is_left_to_do() -> None:
    post = Post()
    await asyncio.gather(*post.start(*"abc", group="x"), *post.start("d"))
    await asyncio.sleep(0)
    assert post.idle_calls >= 1
    assert not post.gatherer._groups
    assert not post.gatherer._in_flight
