"""Behaviours of receivers that mean harm, or were written in a hurry."""

import asyncio
import gzip
import itertools
from collections.abc import Iterable, Iterator

from support.receivers import Behaviour, Exchange, Receiver

PAUSE = 0.02  # seconds between the drops of a drip


def dripping(start: bytes, drops: Iterable[bytes]) -> Behaviour:
    """Say `start` at once, and then one drop after the other."""

    async def behave(exchange: Exchange) -> None:
        await exchange.say(start)
        for drop in drops:
            await asyncio.sleep(PAUSE)
            await exchange.say(drop)

    return behave


def flooding(receiver: Receiver, start: bytes, piece: bytes) -> Behaviour:
    """Say `start` and then `piece` for ever, as fast as it is taken; count what was taken."""

    async def behave(exchange: Exchange) -> None:
        await exchange.say(start)
        while not exchange.writer.is_closing():
            await exchange.say(piece)
            receiver.sent += len(piece)

    return behave


def resetting_after(start: bytes) -> Behaviour:
    """Say `start` and end the connection with RST, once it has arrived."""

    async def behave(exchange: Exchange) -> None:
        await exchange.say(start)
        await asyncio.sleep(PAUSE)
        exchange.reset()

    return behave


async def saying_nothing(exchange: Exchange) -> None:
    """Take the request and never answer."""
    await exchange.until_closed()


def bytes_of(text: bytes) -> Iterator[bytes]:
    """Yield a text byte by byte."""
    return (bytes([byte]) for byte in text)


def endless(piece: bytes) -> Iterator[bytes]:
    """Yield the same piece for ever."""
    return itertools.repeat(piece)


def gzip_bomb() -> bytes:
    """Return 64 MiB of zeros as a few KiB."""
    return gzip.compress(b"\0" * 67_108_864, compresslevel=9)
