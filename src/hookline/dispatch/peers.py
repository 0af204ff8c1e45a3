"""The Unix sockets by which worker processes hand deliveries to one another.

Such deliveries are stored leased to their process, and told to it over a Unix socket before their
event is answered 202: so they start without a claim, and before whatever is sent afterwards.
Without this they would wait in the database, and so would all that comes behind them in their lane.
"""

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from hookline.background import Tasks
from hookline.errors import HooklineError
from hookline.logs import get_logger
from hookline.queue.port import Claimed

PRESENT_EVERY: Final = 0.25  # seconds between tellings of who is there
CONNECT_EVERY: Final = 1.0  # seconds between looks for processes that were started again
_PATIENCE = 1.0  # seconds for an answer; a process that is silent for longer gets nothing more
_CLOSE_WITHIN = 1.0  # seconds for the others to close their side
_LENGTH = struct.Struct("!I")
_LOG = get_logger(__name__)


class PeerGone(HooklineError):
    """A process ended, or is about to, without having taken what it was handed."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Who listens: its place among the engines (None: it takes no more), and a lease of its own.

    The lease is of this connection alone: so what was stored by a process that died is told apart.
    """

    place: int | None
    lease: int


class Batch(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Deliveries that are stored and leased, in order; the lease was asked for at `asked_at`.

    That is by the monotonic clock, which the processes of one machine share.
    """

    asked_at: float
    deliveries: list[Claimed]


class Taken(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The answer to one batch: the lanes that had no room, of which everything is released."""

    without_room: list[str]


class Present(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Which tenants sent requests and events to a process lately, up to two of each."""

    requests: list[str]
    events: list[str]


_ENCODER = msgspec.msgpack.Encoder()
_BATCHES = msgspec.msgpack.Decoder(Batch)
_ANSWERS = msgspec.msgpack.Decoder(Hello | Taken | Present)


class _Connected(NamedTuple):
    """Another process that is connected: who serves it, and the lease that it stores under."""

    task: asyncio.Task[None]
    lease: int


Take = Callable[[Sequence[Claimed], float], Awaitable[list[str]]]
"""Starts deliveries that are leased to this process since a time; returns lanes without room."""


class PeerServer:
    """Takes what other worker processes hand to this one, at `socket`.

    Each of them stores under a lease that `new_lease` makes for it. `ended` is told that lease when
    its connection ended: what it stored and did not tell is then nobody's.
    """

    def __init__(
        self,
        socket: Path,
        take: Take,
        *,
        new_lease: Callable[[], int],
        ended: Callable[[int], object],
    ) -> None:
        self._socket = socket
        self._take = take
        self._new_lease = new_lease
        self._ended = ended
        self._place: int | None = None
        self._server: asyncio.Server | None = None
        self._others: dict[asyncio.StreamWriter, _Connected] = {}

    async def open(self) -> None:
        """Listen; where the system has no such sockets, others leave our work to claims."""
        try:
            self._socket.unlink(missing_ok=True)  # a predecessor's, which died
            self._server = await asyncio.start_unix_server(self._serve, self._socket)
        except (OSError, ValueError) as error:
            _LOG.warning("peers.no_socket", error=type(error).__name__)

    def placed(self, place: int) -> None:
        """Tell the others which place among the engines is this one's."""
        if self._place != place:
            self._place = place
            self._tell_all()

    async def aclose(self) -> None:
        """Take no more; what was handed over already is answered."""
        if self._server is None:
            return
        self._server.close()
        self._socket.unlink(missing_ok=True)
        self._place = None
        self._tell_all()
        serving = [each.task for each in self._others.values()]
        if serving:
            await asyncio.wait(serving, timeout=_CLOSE_WITHIN)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def tell(self, present: Present) -> None:
        """Tell the others who is there."""
        for writer in self._others:
            _write(writer, present)

    def _tell_all(self) -> None:
        for writer, each in self._others.items():
            _write(writer, Hello(self._place, each.lease))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the server makes one for each connection
        lease = self._new_lease()
        self._others[writer] = _Connected(task, lease)
        try:
            _write(writer, Hello(self._place, lease))
            while True:
                batch = _BATCHES.decode(await _read(reader))
                _write(writer, Taken(await self._take(batch.deliveries, batch.asked_at)))
        except (asyncio.IncompleteReadError, OSError):
            return  # the other one is gone, or we said goodbye
        finally:
            del self._others[writer]
            writer.close()
            self._ended(lease)


class Peers:
    """The worker processes beside this one, whose sockets are in the folder of `own`.

    `present` is told which tenants are there in one of them, four times a second.
    """

    def __init__(self, own: Path, present: Callable[[Present], None]) -> None:
        self._own = own
        self._present = present
        self._peers: dict[Path, _Peer] = {}
        self._tasks = Tasks()

    async def look(self) -> None:
        """Connect to processes that were started since the last look."""
        for socket in await asyncio.to_thread(_sockets, self._own.parent):
            if socket == self._own or socket in self._peers:
                continue
            with contextlib.suppress(OSError):  # it died, or is not there yet
                peer = _Peer(*await asyncio.open_unix_connection(socket), self._present)
                self._peers[socket] = peer
                self._tasks.start(self._follow(socket, peer), f"peer-{socket.name}")

    def lease_of(self, place: int) -> int | None:
        """Return the lease of the process with this place, if deliveries can be handed to it."""
        for peer in self._peers.values():
            if peer.hello is not None and peer.hello.place == place and not peer.silent:
                return peer.hello.lease
        return None

    async def hand_over(self, deliveries: Sequence[Claimed], asked_at: float) -> list[str]:
        """Hand stored deliveries, all of one lease, to their process; return lanes without room.

        Returns when it has them, or has not answered for a second. Raises PeerGone where it ended
        without: their lease is then to be released.
        """
        lease = deliveries[0].lease
        for peer in self._peers.values():
            if peer.hello is not None and peer.hello.lease == lease:
                return await peer.hand_over(Batch(asked_at, list(deliveries)))
        raise PeerGone

    async def aclose(self) -> None:
        """Close the connections."""
        for peer in self._peers.values():
            peer.close()
        await self._tasks.aclose()

    async def _follow(self, socket: Path, peer: "_Peer") -> None:
        try:
            await peer.follow()
        finally:
            del self._peers[socket]


class _Peer:
    """One process beside this one, as long as it is connected."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        present: Callable[[Present], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._present = present
        self._unanswered: deque[asyncio.Future[list[str]]] = deque()
        self.hello: Hello | None = None
        self.silent = False  # it has not answered for long

    async def hand_over(self, batch: Batch) -> list[str]:
        if self.hello is None or self.hello.place is None:
            raise PeerGone
        answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._unanswered.append(answer)
        _write(self._writer, batch)
        done, _ = await asyncio.wait([answer], timeout=_PATIENCE)
        if done:
            if answer.exception() is not None:
                raise PeerGone  # anew: one that came from the future would keep the batch alive
            return answer.result()
        _LOG.warning("peers.silent", deliveries=len(batch.deliveries))
        self.silent = True
        return []

    async def follow(self) -> None:
        """Take its answers until it closes, or says that it will and has answered everything."""
        try:
            while self.hello is None or self.hello.place is not None or self._unanswered:
                match _ANSWERS.decode(await _read(self._reader)):
                    case Hello() as hello:
                        self.hello = hello
                    case Taken(without_room):
                        self._answered(without_room)
                    case Present() as present:
                        self._present(present)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.hello = None
            self.close()
            for answer in self._unanswered:
                answer.set_exception(PeerGone())
                answer.exception()  # where nobody waits any more

    def close(self) -> None:
        self._writer.close()

    def _answered(self, without_room: list[str]) -> None:
        self._unanswered.popleft().set_result(without_room)
        if not self._unanswered:
            self.silent = False


def _sockets(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.peer"))


def _write(writer: asyncio.StreamWriter, message: Hello | Batch | Taken | Present) -> None:
    content = _ENCODER.encode(message)
    writer.write(_LENGTH.pack(len(content)) + content)


async def _read(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)
