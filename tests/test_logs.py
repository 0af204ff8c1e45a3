import io
import json
import logging
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


def fail_with(error: Exception) -> None:
    raise error


class Refused(Exception):
    """What asyncpg raises, as it prints itself."""

    def __str__(self) -> str:
        row = f"(1, {MARK},\n{MARK})"
        return f"new row violates a check\nDETAIL:  Failing row contains {row}.\nHINT:  Do not."


@pytest.mark.parametrize("console", [True, False])
def test_a_row_that_postgres_quotes_is_left_out(stream: io.StringIO, *, console: bool) -> None:
    logs.configure(console=console, stream=stream)
    refused = Refused()
    wrapped = RuntimeError(f"(wrapped) {refused}\n[SQL: insert]")
    wrapped.__cause__ = refused
    try:
        fail_with(wrapped)
    except RuntimeError:
        logs.get_logger("a test").exception("thing.failed")
    logged = stream.getvalue()
    assert MARK not in logged
    for kept in ("violates a check", "HINT:  Do not.", "[SQL: insert]", "(wrapped)"):
        assert kept in logged


def test_a_terminal_gets_no_commands_and_no_made_up_lines(stream: io.StringIO) -> None:
    logs.configure(console=True, stream=stream)
    forged = "\x1b[2J\r\n2026-01-31 [info] all.well \u2028\x9b"
    logs.get_logger("a test").warning("thing.happened", value=forged)
    logging.getLogger("a library").warning("said %s", forged)
    try:
        fail_with(ValueError(forged))
    except ValueError:
        logs.get_logger("a test").exception("thing.failed")
    logged = stream.getvalue()
    assert all(each.isprintable() or each == "\n" for each in logged)
    assert logged.splitlines()[0].count("all.well") == 1
    assert logged.splitlines()[1].count("all.well") == 1


def test_lines_below_the_level_are_left_out(stream: io.StringIO) -> None:
    logs.configure(level="WARNING", stream=stream)
    logs.get_logger("a test").info("thing.happened")
    assert stream.getvalue() == ""
