import hashlib
import hmac
import json
import re

import httpx
import pytest

from support.terminal import Command, Terminal

SECRET = "abcdefghijABCDEFGHIJ0123456789xy"
BODY = b'{"id":"call-1","company":"it_w000001","type":"call:completed","data":{"n":1}}'
SIGNED = {"x-signature": hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()}


async def listening(command: Command) -> str:
    return (await command.says(r"Listening on (http://127\.0\.0\.1:\d+)/"))[1]


async def post(url: str, body: bytes = BODY, headers: dict[str, str] | None = None) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(url, content=body, headers=headers or SIGNED)).status_code


async def test_each_delivery_is_shown_with_what_holds(terminal: Terminal) -> None:
    command = await terminal.start_anew("listen", "--port", "0", "--secret", SECRET, "--body")
    url = await listening(command)

    assert await post(f"{url}/hook") == 200

    await command.says(r'"n": 1')
    assert await command.stop() == 0
    assert re.search(r"call:completed  77 bytes  POST /hook → 200", command.said)
    assert re.search(r"raw body +✓ holds", command.said)
    assert re.search(r"JavaScript round trip +✓ holds", command.said)
    assert re.search(r"id, timestamp and body +✗ missing", command.said)


async def test_a_wrong_signature_is_called_that(terminal: Terminal) -> None:
    command = await terminal.start("listen", "--port", "0", "--secret", SECRET)
    url = await listening(command)

    await post(url, headers={"x-signature": "0" * 64})

    await command.says(r"raw body +✗ does not hold")


async def test_without_a_secret_the_signature_is_shown_and_not_judged(terminal: Terminal) -> None:
    command = await terminal.start("listen", "--port", "0")
    url = await listening(command)

    await post(url)

    await command.says(SIGNED["x-signature"])
    await command.says(r"raw body +not checked")
    assert "there is no --secret" in command.said


async def test_it_fails_as_often_as_asked_and_then_answers_as_asked(terminal: Terminal) -> None:
    command = await terminal.start("listen", "--port", "0", "--fail", "2", "--status", "204")
    url = await listening(command)

    assert [await post(url) for _ in range(3)] == [503, 503, 204]


@pytest.mark.parametrize(
    "body", [b"", b"\x1b]0;title\x07", b"\xff\xfe", json.dumps({"type": "\x1b[2J\x9b"}).encode()]
)
async def test_a_body_never_commands_the_terminal(terminal: Terminal, body: bytes) -> None:
    command = await terminal.start("listen", "--port", "0", "--body")
    url = await listening(command)

    assert await post(url, body) == 200

    await command.says(r"id, timestamp and body")
    await command.stop()
    assert "\x1b" not in command.said
    assert "\x9b" not in command.said


async def test_a_port_in_use_is_a_sentence(terminal: Terminal) -> None:
    command = await terminal.start("listen", "--port", "0")
    port = (await listening(command)).rpartition(":")[2]

    code, out, err = await terminal.run("listen", "--port", port)

    assert (code, out) == (1, "")
    assert re.fullmatch(rf"hookline: 127\.0\.0\.1:{port} cannot be listened on .*--port\.\n", err)
