"""`Retry-After`, as a target sends it (RFC 9110, 10.2.3): seconds or a date, or nonsense."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_LONGEST_HEADER: Final = 64  # characters; the longest valid date has 33
_LONGEST_PAUSE: Final = 31_536_000.0  # a year, in seconds: enough for every cap above it


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds to wait from `now`, which is aware; None where the value says nothing.

    Never negative, never more than a year, never an error, whatever bytes a target sends.
    """
    text = value.strip()
    if not text or not text.isascii():
        return None
    if text.isdigit():
        return min(float(text), _LONGEST_PAUSE)
    moment = _date(text)
    if moment is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), _LONGEST_PAUSE)


def _date(text: str) -> datetime | None:
    if len(text) > _LONGEST_HEADER:
        return None
    try:
        moment = parsedate_to_datetime(text)
        # an HTTP date is always GMT; the parser leaves the zone out where the text does
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
