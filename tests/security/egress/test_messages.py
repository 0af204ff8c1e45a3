"""httpx's requests and responses as we make them: cheap, and httpx's all the same."""

import httpx
import pytest

from hookline.security.egress.messages import PreparedRequest, RawHeaders, WholeBody, head_of

PAIRS = [(b"host", b"crm.example.com"), (b"X-Key", b"one"), (b"x-key", b"two")]


def test_headers_are_sent_as_they_were_given() -> None:
    assert RawHeaders(PAIRS).raw == PAIRS


def test_headers_answer_as_httpx_does() -> None:
    headers = RawHeaders(PAIRS)

    assert headers == httpx.Headers(PAIRS)
    assert headers["x-KEY"] == "one, two"
    assert headers.get_list("x-key") == ["one", "two"]
    assert "accept" not in headers
    assert not hasattr(headers, "nothing_of_httpx")


def test_what_was_changed_is_sent() -> None:
    headers = RawHeaders(PAIRS)

    headers["host"] = "other.example.com"
    del headers["x-key"]
    headers["accept"] = "*/*"

    assert headers.raw == [(b"host", b"other.example.com"), (b"accept", b"*/*")]


def test_what_is_given_stays_as_it_was() -> None:
    given = list(PAIRS)

    RawHeaders(given).raw.clear()
    RawHeaders(given).clear()

    assert given == PAIRS


async def test_a_request_is_one_of_httpx() -> None:
    request = PreparedRequest(
        httpx.URL("https://crm.example.com/a?b=1"), PAIRS, b"body", {"tenant": "t"}
    )

    assert await request.aread() == b"body"
    assert (request.method, request.headers["host"]) == ("POST", "crm.example.com")
    assert request.extensions == {"tenant": "t"}
    assert head_of(request) == (
        b"POST /a?b=1 HTTP/1.1\r\nhost: crm.example.com\r\nX-Key: one\r\nx-key: two\r\n\r\n"
    )


@pytest.mark.parametrize("value", [b"a\nb: c", b"a\rb: c", b"a\r\nb: c"])
def test_a_line_break_in_a_header_is_refused(value: bytes) -> None:
    request = PreparedRequest(httpx.URL("https://crm.example.com/"), [(b"x", value)], b"", {})

    with pytest.raises(httpx.LocalProtocolError):
        head_of(request)


async def test_a_body_is_read_anew_each_time() -> None:
    body = WholeBody(b"whole")

    assert [[part async for part in body] for _ in range(2)] == [[b"whole"], [b"whole"]]
    assert [part async for part in WholeBody(b"")] == []


def test_a_prepared_request_has_all_that_httpx_gives_its_own() -> None:
    url = httpx.URL("https://crm.example.com/")
    own = httpx.Request("POST", url, stream=WholeBody(b"{}"), extensions={"tenant": "x"})
    prepared = PreparedRequest(url, PAIRS, b"{}", {"tenant": "x"})
    assert vars(prepared).keys() == vars(own).keys()
    assert (prepared.method, prepared.url) == (own.method, own.url)
