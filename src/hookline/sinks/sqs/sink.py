"""The SQS sink: signs, gathers, sends once, says what came of each message."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.domain.targets import SqsTarget, Target
from hookline.errors import InvalidInput
from hookline.logs import get_logger
from hookline.security.egress.policy import EgressPolicy
from hookline.sinks import Shipment
from hookline.sinks.sqs.clients import Client, ClientCache, ClientKey
from hookline.sinks.sqs.gatherer import Gatherer, Waiting
from hookline.sinks.sqs.messages import (
    Answer,
    attributes_of,
    entry_for,
    group_of,
    no_key,
    stopping,
    unanswered,
)
from hookline.sinks.sqs.urls import QueueUrl, parse_queue_url

if TYPE_CHECKING:
    from hookline.sinks.sqs.aws import Factory

log = get_logger(__name__)
_MEBIBYTE = 1024 * 1024  # bytes: SQS's own bound on a message, and on a batch, since August 2025
_KEY_ID = re.compile(r"[!-~]{1,128}")  # what can be in a header; AWS's own have 16–128 of \w
_MOST_CLIENTS = 64
_CLIENT_IDLE = 300.0  # seconds


class SqsSink:
    """Delivers to AWS SQS; see `hookline.sinks.Sink` for what it promises.

    `endpoint_url` is the operator's emulator, for every call; without it a call goes to the host of
    the queue's URL, at an address that `policy` allows. `tls` verifies whom it talks to.

    On a FIFO queue: of the shipments of one subject, in the order in which `send` was called, none
    is sent before the one ahead of it is answered. When that one may be retried, every other whose
    `send` had been called before the failed one's returned is answered `RETRY` without being sent.
    """

    def __init__(  # noqa: PLR0913  each is a setting, or what runtime.py shares with webhooks
        self,
        *,
        timeout: float,
        endpoint_url: str | None = None,
        max_message_bytes: int = _MEBIBYTE,
        gather_seconds: float = 0.003,
        policy: EgressPolicy | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = timeout
        self._endpoint_url = endpoint_url
        self._most_bytes = max_message_bytes
        self._gather_seconds = gather_seconds
        self._clients = ClientCache(
            AwsMaker(None if endpoint_url else policy, tls),
            most=_MOST_CLIENTS,
            idle_seconds=_CLIENT_IDLE,
        )
        self._gatherers: dict[SqsTarget, Gatherer] = {}  # those with something to do
        self._queues: WeakKeyDictionary[SqsTarget, QueueUrl] = WeakKeyDictionary()
        self._closed = False

    async def send(self, shipment: Shipment) -> Sent:
        """Sign the body, send it once, with others of its queue, and say what came of it."""
        target = shipment.target
        if not isinstance(target, SqsTarget):
            raise TypeError(f"the SQS sink can't send to {type(target).__name__}")
        started_at, start = datetime.now(UTC), asyncio.get_running_loop().time()
        answer = await self._answer(shipment, target, start + self._timeout)
        took = asyncio.get_running_loop().time() - start
        return Sent(
            verdict=answer.verdict,
            started_at=started_at,
            duration_ms=round(took * 1000),
            error=answer.error,
            status_code=answer.status_code,
            response=_without_secret(answer.response, target),
            tls_reason=answer.tls,
            body_bytes=len(shipment.body) if answer.verdict is Verdict.TOO_LARGE else None,
            headers=attributes_of(shipment, target) if shipment.tells_headers else (),
        )

    async def forget(self, target: Target) -> None:
        """Close the client of a target's key; what is in flight ends first."""
        if isinstance(target, SqsTarget):
            try:
                queue = self._queue_of(target)
            except InvalidInput:
                return  # nothing was ever opened for it
            await self._clients.forget(self._client_key(target, queue))

    async def aclose(self) -> None:
        """Answer what waits, let what is in flight end by its deadline, close every client."""
        self._closed = True
        await asyncio.gather(*(gatherer.aclose() for gatherer in self._gatherers.values()))
        await self._clients.aclose()

    async def _answer(self, shipment: Shipment, target: SqsTarget, deadline: float) -> Answer:
        if self._closed:
            return stopping()
        try:
            queue = self._queue_of(target)
        except InvalidInput as error:
            return unanswered(ErrorKind.BLOCKED, str(error))
        if not _KEY_ID.fullmatch(target.access_key_id):
            return no_key()
        group = group_of(shipment.subject) if queue.fifo else None
        entry, size = entry_for(shipment, target, group=group)
        if size > self._most_bytes:
            text = (
                f"The message has {size} bytes; the limit is {self._most_bytes}. It was not sent."
            )
            return Answer(Verdict.TOO_LARGE, ErrorKind.TOO_LARGE, None, text.encode())
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        return await self._gather(target, queue, Waiting(entry, size, group, deadline, answer))

    async def _gather(self, target: SqsTarget, queue: QueueUrl, message: Waiting) -> Answer:
        gatherer = self._gatherers.get(target) or self._open(target, queue)
        gatherer.add(message)
        try:
            return await message.answer
        finally:
            gatherer.returned(message)

    def _open(self, target: SqsTarget, queue: QueueUrl) -> Gatherer:
        key = self._client_key(target, queue)

        async def ship(batch: Sequence[Waiting]) -> list[Answer]:
            return await self._ship(key, queue.url, batch)

        def forget() -> None:
            self._gatherers.pop(target, None)

        gatherer = self._gatherers[target] = Gatherer(
            ship, forget, most_bytes=self._most_bytes, gather_seconds=self._gather_seconds
        )
        return gatherer

    async def _ship(self, key: ClientKey, url: str, batch: Sequence[Waiting]) -> list[Answer]:
        """Send a batch by the earliest of its deadlines; whatever happens is an answer.

        The time in which a client is made is not the queue's: the deadline moves by it.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with self._clients.lend(key) as client:
                deadline = min(message.deadline for message in batch) + clock() - began
                async with asyncio.timeout_at(deadline):
                    return await _send(client, url, batch)
        except TimeoutError:
            answer = unanswered(ErrorKind.TIMEOUT, f"It had {self._timeout:g} seconds.")
        except Exception:  # whatever one batch stumbles over, its messages get their answer
            log.exception("sqs.batch_failed", queue=url, messages=len(batch))
            answer = unanswered(ErrorKind.INTERNAL, "The reason is in its log.")
        return [answer] * len(batch)

    def _queue_of(self, target: SqsTarget) -> QueueUrl:
        """Return the queue of a target, read once; it goes with the target."""
        queue = self._queues.get(target)
        if queue is None:
            queue = self._queues[target] = parse_queue_url(target.url)
        return queue

    def _client_key(self, target: SqsTarget, queue: QueueUrl) -> ClientKey:
        endpoint = self._endpoint_url or queue.endpoint
        return ClientKey(target.access_key_id, target.secret_access_key, queue.region, endpoint)


async def _send(client: Client, url: str, batch: Sequence[Waiting]) -> list[Answer]:
    """Send a batch; where its content had all of it refused, send each message by itself."""
    answers = await client.send(url, [message.entry for message in batch])
    if len(batch) == 1 or not all(a.status_code and a.spoils_a_batch for a in answers):
        return answers
    async with asyncio.TaskGroup() as group:
        alone = [group.create_task(client.send(url, [message.entry])) for message in batch]
    return [answer for task in alone for answer in task.result()]


def _without_secret(response: bytes, target: SqsTarget) -> bytes:
    """AWS doesn't know the secret and can't echo it; an emulator, or a change, might."""
    secret = target.secret_access_key.encode()
    return response.replace(secret, b"***") if secret else response


class AwsMaker:
    """Makes real clients, in one thread; the first call imports what that takes.

    `policy` says which addresses may be connected to, where the host comes from a queue's URL.
    """

    def __init__(self, policy: EgressPolicy | None, tls: ssl.SSLContext | None) -> None:
        self._policy = policy
        self._tls = tls
        self._factory: Factory | None = None

    def __call__(self, key: ClientKey) -> Client:
        """Return a new client; raise whatever botocore finds wrong with the key."""
        if self._factory is None:
            from hookline.sinks.sqs.aws import Factory  # noqa: PLC0415  slow: not at the start

            self._factory = Factory(self._policy, self._tls)
        return self._factory.make(key)
