"""Waits out a database that is away."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import tenacity

from hookline.errors import Unavailable

ResultT = TypeVar("ResultT")


async def once_back(call: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Return what `call` returns, trying again for as long as it raises Unavailable.

    Tries again at once, then waits up to two seconds between tries, at random, so that many waiters
    do not return at once.
    Ends early only by cancellation; any other error is raised as it is.
    """
    with suppress(Unavailable):  # most often nothing is away, and nothing else is needed
        return await call()

    async def attempt() -> ResultT:  # tenacity awaits only what is a coroutine function itself
        return await call()

    return await tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(Unavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
    )(attempt)
