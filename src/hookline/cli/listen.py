"""`hookline listen`: a receiver for people who write receivers."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hookline.cli import terminal

if TYPE_CHECKING:
    import socket

    from hookline.cli.receiver import Check, Received, Receiver
    from hookline.server.signals import Stopping

_GRACE = 1.0  # seconds for the last answers; what misses one is retried


def listen(  # noqa: PLR0913 - each is an option of the command
    *,
    secret: Annotated[
        str | None,
        typer.Option(help="The integration's secret, with or without whsec_, to check with."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 8090,
    status: Annotated[int, typer.Option(min=200, max=599, help="What to answer.")] = 200,
    fail: Annotated[int, typer.Option(min=0, help="Answer 503 to so many first.")] = 0,
    body: Annotated[bool, typer.Option("--body", help="Print each body too.")] = False,
) -> None:
    """Receive deliveries, and print each and whether its signatures hold."""
    from hookline.cli.receiver import Receiver  # noqa: PLC0415
    from hookline.server.server import listener  # noqa: PLC0415
    from hookline.server.signals import run_until_stopped  # noqa: PLC0415

    def tell(received: "Received") -> None:
        _write("\n".join(describe(received, with_body=body)))

    receiver = Receiver(secret=secret, answer=_answers(status, fail), tell=tell)
    with listener(host, port, advice="choose another with --port.") as taken:
        sys.exit(run_until_stopped(lambda stopping: _listen(receiver, taken, stopping)))


def describe(received: "Received", *, with_body: bool) -> list[str]:
    """Return what a person wants to know about one delivery, line by line."""
    document = _parsed(received.body)
    envelope: dict[str, Any] = document if isinstance(document, dict) else {}
    found, headers = received.verification, received.headers
    moment = received.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    request = f"{len(received.body):,} bytes  {received.method} {received.path}"
    raw, javascript = _word(found.raw), _word(found.javascript)
    return [
        f"{moment}  {envelope.get('type', 'no event')}  {request} → {received.status}",
        f"  id                 {envelope.get('id', '–')}",
        f"  webhook-id         {headers.get('webhook-id', '–')}",
        f"  x-signature        {headers.get('x-signature', '–')}",
        f"    over the raw body                {raw}",
        f"    over the JavaScript round trip   {javascript}",
        f"  webhook-signature  {headers.get('webhook-signature', '–')}",
        f"    over id, timestamp and body      {_word(found.standard)}",
        *(_indented(received.body, document) if with_body else ()),
    ]


def _answers(status: int, failures: int) -> Callable[[bytes], int]:
    """Answer 503 to the first so many, then always the same."""
    left = iter(range(failures))
    return lambda _body: status if next(left, None) is None else 503


async def _listen(receiver: "Receiver", taken: "socket.socket", stopping: "Stopping") -> None:
    from hookline.server.server import address_of, answer  # noqa: PLC0415

    def announce() -> None:
        unchecked = " Signatures are shown, not checked: there is no --secret."
        hint = "" if receiver.secret else unchecked
        _write(f"Listening on {address_of(taken)}/ (any path). Ctrl-C ends it.{hint}")

    await answer(receiver, taken, stopping, grace=_GRACE, when_started=announce)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _indented(body: bytes, document: object) -> list[str]:
    text = body.decode(errors="backslashreplace")
    if document is not None:
        text = json.dumps(document, indent=2, ensure_ascii=False)
    return [f"  {line}" for line in text.splitlines()]


def _word(check: "Check") -> str:
    return {
        "holds": "✓ holds",
        "fails": "✗ does not hold",
        "missing": "✗ missing",
        "unchecked": "not checked",
    }[check.value]


def _write(text: str) -> None:
    """Print what came from outside: nothing in it moves the cursor or changes the terminal."""
    terminal.say(text, {"✓ holds": "green", "✗ does not hold": "bold red", "✗ missing": "bold red"})
