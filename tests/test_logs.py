import io
import json
from collections.abc import Iterator

import pytest

from hookline import logs

MARK = "marked-secret"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    logs.configure()


def fail() -> None:
    secret = MARK
    raise ValueError(f"{len(secret)} characters went wrong")


def log_a_failure() -> None:
    try:
        fail()
    except ValueError:
        logs.get_logger("a test").exception("thing.failed", count=3)


@pytest.mark.parametrize("console", [True, False])
def test_an_error_is_logged_with_its_traceback_and_without_its_variables(
    stream: io.StringIO, *, console: bool
) -> None:
    logs.configure(console=console, stream=stream)
    log_a_failure()
    assert "13 characters went wrong" in stream.getvalue()
    assert "in fail" in stream.getvalue()
    assert MARK not in stream.getvalue()


def test_a_line_is_one_json_object_whatever_it_holds(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    logs.get_logger("a test").info("thing.happened", value='"\n\x00\ud800é', level_of="x")
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["value"] == '"\n\x00\ud800é'
    assert line.isascii()


def test_lines_below_the_level_are_left_out(stream: io.StringIO) -> None:
    logs.configure(level="WARNING", stream=stream)
    logs.get_logger("a test").info("thing.happened")
    assert stream.getvalue() == ""
