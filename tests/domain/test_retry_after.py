from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.retries import parse_retry_after

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
A_YEAR = 31_536_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120\t", 120),
        ("007", 7),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
        ("Monday, 23-Nov-26 12:00:30 GMT", 30),
        ("Mon Nov 23 12:00:30 2026", 30),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30),
        ("Mon, 23 Nov 2026 13:00:30 +0100", 30),
        ("Mon, 23 Nov 2026 11:59:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", A_YEAR),
        ("9" * 30, A_YEAR),
        ("9" * 100_000, A_YEAR),
    ],
)
def test_seconds_and_dates_are_understood_and_bounded(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "soon",
        "-1",
        "+5",
        "1.5",
        "1e3",
        "NaN",
        "inf",
        "0x10",
        "１２０",
        "²",
        "120, 5",
        "Mon, 99 Nov 2026 12:00:30 GMT",
        "Mon, 23 Nov 2026 12:00:30 +9999999999",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 23 Nov 2026 " + "1" * 5000 + ":00:30 GMT",
        "\x00",
        "\ud800",
    ],
)
def test_nonsense_says_nothing(value: str) -> None:
    assert parse_retry_after(value, NOW) is None


@given(
    st.text(st.characters(codec=None), max_size=80) | st.from_regex(r"\A[A-Za-z0-9:+, -]{0,64}\Z")
)
def test_nothing_a_target_sends_is_an_error(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= A_YEAR


@given(st.integers(min_value=0, max_value=A_YEAR))
def test_a_date_and_its_seconds_mean_the_same(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(date, NOW) == parse_retry_after(str(seconds), NOW) == seconds
