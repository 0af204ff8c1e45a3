import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from hookline.sinks.sqs.clients import ClientCache, ClientKey
from hookline.sinks.sqs.messages import Answer, Entry


class Made:
    """A client that only knows whether it was closed."""

    def __init__(self, key: ClientKey) -> None:
        self.key = key
        self.closed = asyncio.Event()

    async def send(self, queue_url: str, entries: Sequence[Entry]) -> list[Answer]:
        raise NotImplementedError(queue_url, entries)

    async def aclose(self) -> None:
        self.closed.set()


class Workshop:
    """Makes clients, and remembers them and the threads it was called in."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.threads: set[str] = set()
        self.before: Callable[[], object] = lambda: None

    def __call__(self, key: ClientKey) -> Made:
        self.threads.add(threading.current_thread().name)
        self.before()
        self.made.append(Made(key))
        return self.made[-1]


def key(name: str = "a") -> ClientKey:
    return ClientKey(name, "secret", "eu-central-1", "https://sqs.eu-central-1.amazonaws.com")


async def use(cache: ClientCache, name: str = "a") -> object:
    async with cache.lend(key(name)) as client:
        return client


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


async def test_a_client_is_made_once_however_many_ask_at_the_same_moment(
    workshop: Workshop,
) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)
    lent = await asyncio.gather(*(use(cache) for _ in range(20)))
    assert len(workshop.made) == 1
    assert set(lent) == set(workshop.made)
    await cache.aclose()


async def test_making_one_leaves_the_event_loop_and_other_clients_free(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)
    await use(cache, "ready")
    stuck = threading.Event()
    workshop.before = lambda: stuck.wait(20)
    slow = asyncio.create_task(use(cache, "slow"))
    assert await use(cache, "ready") is workshop.made[0]
    assert not slow.done()
    stuck.set()
    await slow
    assert threading.current_thread().name not in workshop.threads
    await cache.aclose()


async def test_beyond_the_bound_the_longest_unused_is_closed(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=2, idle_seconds=60)
    for name in ("a", "b", "a", "c"):
        await use(cache, name)
    a, b, c = workshop.made
    await b.closed.wait()
    assert not a.closed.is_set()
    assert not c.closed.is_set()
    await cache.aclose()


async def test_one_in_use_is_not_closed_for_the_bound(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=1, idle_seconds=60)
    async with cache.lend(key("a")):
        await use(cache, "b")
        await asyncio.sleep(0)
        assert not workshop.made[0].closed.is_set()
    await cache.aclose()


async def test_an_unused_one_is_closed_after_the_idle_time(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=0.01)
    await use(cache)
    await asyncio.wait_for(workshop.made[0].closed.wait(), 10)
    await use(cache)
    assert len(workshop.made) == 2
    await cache.aclose()


async def test_forgetting_closes_it_and_the_next_use_makes_a_new_one(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)
    await use(cache)
    await cache.forget(key())
    assert workshop.made[0].closed.is_set()
    await use(cache)
    assert len(workshop.made) == 2
    await cache.aclose()


async def test_forgetting_one_in_use_closes_it_when_its_last_user_is_through(
    workshop: Workshop,
) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)
    async with cache.lend(key()):
        await cache.forget(key())
        assert not workshop.made[0].closed.is_set()
    await asyncio.wait_for(workshop.made[0].closed.wait(), 10)
    await cache.aclose()


async def test_forgetting_an_unknown_one_is_nothing(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)
    await cache.forget(key())
    assert not workshop.made
    await cache.aclose()


async def test_when_making_fails_the_next_use_tries_again(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)

    def fail() -> None:
        raise ValueError("no such region")

    workshop.before = fail
    with pytest.raises(ValueError, match="no such region"):
        await use(cache)
    workshop.before = lambda: None
    assert await use(cache) is workshop.made[0]
    await cache.aclose()


async def test_a_user_that_gives_up_while_it_is_made_leaves_it_for_the_next(
    workshop: Workshop,
) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)
    stuck = threading.Event()
    workshop.before = lambda: stuck.wait(20)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await use(cache)
    stuck.set()
    await use(cache)
    assert len(workshop.made) == 1
    await cache.aclose()


async def test_closing_closes_all(workshop: Workshop) -> None:
    cache = ClientCache(workshop, most=4, idle_seconds=60)
    await use(cache, "a")
    await use(cache, "b")
    await cache.aclose()
    assert all(client.closed.is_set() for client in workshop.made)


def test_a_keys_secret_is_not_printed() -> None:
    assert "secret'" not in repr(key())
    assert "secret_access_key" not in repr(key())
