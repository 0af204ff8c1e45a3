"""What operators' commands say of mistakes, and of servers that are none or others' ones."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from factories import PBX
from hookline.domain.access import new_key
from hookline.errors import NO_SUCH_ADDRESS
from support.remote_commands import Run, There, invoked


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("events", "show", "01a20a4b-b3ae-750b-8a93-2500e569c584"), 3, "There is no event"),
        (("integrations", "show", "../../livez"), 3, "There is no"),
        (("deliveries", "retry", ""), 2, "'' is no id"),
        (("integrations", "disable", ".."), 2, "'..' is no id"),
        (("pbxs", "delete", "."), 2, "'.' is no id"),
        (("replay", "list", ""), 2, "'' is no id"),
        (("deliveries", "list", "--status", "lost"), 2, "status"),
        (("events", "list", "--since", "yesterday"), 2, "since: Send a timestamp"),
        (("events", "list", "--limit", "0"), 2, "limit"),
        (("integrations", "create", "--pbx", PBX), 2, "Name either"),
        (("integrations", "create", "--file", "missing.json"), 2, "cannot be read"),
        (("integrations", "create", "--url", "https://crm.example.com", "-e", "calls"), 2, "calls"),
        (("pbxs", "put", "1", "--company", "c", "--license", "gold"), 2, "license: Possible are"),
    ],
)
async def test_what_is_wrong_is_a_sentence_and_an_exit_code(
    run: Run, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ended = await run(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert "Traceback" not in ended.err


async def test_a_key_that_is_wrong_or_missing_is_told_apart(run: Run, there: There) -> None:
    unknown = await run("pbxs", "list", key=new_key())
    assert (unknown.code, unknown.out) == (4, "")
    assert "not known" in unknown.err
    nonsense = await run("pbxs", "list", key="secret")
    assert nonsense.code == 2
    assert "secret" not in nonsense.err
    short = await run("pbxs", "list", key="hk_short")
    assert short.code == 2
    assert "`hk_` and 32 to 128 letters" in short.err
    none = await invoked("pbxs", "list", "--server", there.service.url)
    assert none.code == 2
    assert "Set HOOKLINE_KEY" in none.err


_OTHER_SERVERS = {  # the answers of what is no Hookline, or another version of it, by path
    "/page": (200, "<html>Welcome</html>"),
    "/gone": (404, "<html>Nothing</html>"),
    "/elsewhere": (302, ""),
    "/gateway": (502, "Bad Gateway"),
    "/framework": (404, '{"detail": "Not Found"}'),
    "/list": (200, "[1]"),
    "/word": (200, '{"items": "some", "next": null}'),
    "/words": (200, '{"items": ["one"], "next": null}'),
    "/other": (200, '{"pbxs": []}'),
    "/older": (200, '{"items": [{"pbx": "1"}], "next": null}'),
    "/unknown": (404, json.dumps({"type": "/problems/not-found", "detail": NO_SUCH_ADDRESS})),
}
_TOLD = {
    "/page": "is no Hookline",
    "/gone": "404 Not Found, and not as Hookline does",
    "/elsewhere": "It leads to https://hookline.example.com: name that server",
    "/gateway": "502 Bad Gateway, and not as Hookline does",
    "/framework": "404 Not Found, and not as Hookline does",
    "/list": "is no Hookline",
    "/word": "has no `items`",
    "/words": "has no `items`",
    "/other": "has no `items`",
    "/older": "has no `company`",
    "/unknown": "is not known there",
}


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = _OTHER_SERVERS[self.path.partition("/v1/")[0]]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "https://hookline.example.com")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_what_is_no_server_or_no_hookline_ends_with_5(web_server: str) -> None:
    key = new_key()
    nobody = await invoked("pbxs", "list", "--server", "http://127.0.0.1:9", HOOKLINE_KEY=key)
    assert nobody.code == 5
    assert "http://127.0.0.1:9 cannot be reached" in nobody.err
    for path, told in _TOLD.items():
        other = await invoked("pbxs", "list", "--server", web_server + path, HOOKLINE_KEY=key)
        assert (other.code, told in other.err) == (5, True), (path, other)
        assert "Traceback" not in other.err
    wrong = await invoked("pbxs", "list", "--server", "127.0.0.1:8080", HOOKLINE_KEY=key)
    assert wrong.code == 2
