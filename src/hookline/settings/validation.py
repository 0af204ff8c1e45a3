"""Checks settings against each other; each contradiction says what to set instead."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hookline.settings.model import Settings


def contradictions(chosen: "Settings") -> Iterator[str]:
    """Tell what in these settings cannot work together."""
    yield from _database(chosen)
    yield from _bounds(chosen)
    if chosen.egress_ca_file is not None and not chosen.egress_ca_file.is_file():
        yield (
            f"HOOKLINE_EGRESS_CA_FILE names {chosen.egress_ca_file}, which is not a file:"
            " set it to a PEM file"
        )


def _database(chosen: "Settings") -> Iterator[str]:
    if chosen.embedded and not chosen.embedded_postgres:
        yield (
            "Set HOOKLINE_DATABASE_URL to a PostgreSQL 15 or newer;"
            " HOOKLINE_EMBEDDED_POSTGRES is off, so there is no bundled one to use"
        )
    if not chosen.embedded and not chosen.encryption_keys:
        yield (
            "Set HOOKLINE_ENCRYPTION_KEYS, which HOOKLINE_DATABASE_URL requires, to the same value"
            " in every process; `openssl rand -base64 32` makes one. Keep it: without"
            " it the secrets in the database are lost"
        )


def _bounds(chosen: "Settings") -> Iterator[str]:
    yield from _retries(chosen)
    if chosen.max_event_bytes > chosen.max_batch_bytes:
        yield (
            "HOOKLINE_MAX_EVENT_BYTES must not exceed HOOKLINE_MAX_BATCH_BYTES:"
            " a batch of one event must fit"
        )
    if chosen.max_batch_bytes > chosen.max_body_memory:
        yield (
            "HOOKLINE_MAX_BATCH_BYTES must not exceed HOOKLINE_MAX_BODY_MEMORY:"
            " a whole batch must fit"
        )
    kept = chosen.retention_days * 24
    if chosen.duplicate_window_hours > kept:
        yield (
            f"HOOKLINE_DUPLICATE_WINDOW_HOURS must not exceed the {kept} hours of"
            " HOOKLINE_RETENTION_DAYS: an event that is gone cannot be compared with"
        )


def _retries(chosen: "Settings") -> Iterator[str]:
    delays = {"RETRY_DELAYS": chosen.retry_delays}
    if chosen.retry_delays_analytics != chosen.retry_delays:
        delays["RETRY_DELAYS_ANALYTICS"] = chosen.retry_delays_analytics
    for name, entries in delays.items():
        if len(entries) > chosen.max_retries:
            yield (
                f"HOOKLINE_{name} has {len(entries)} entries and HOOKLINE_MAX_RETRIES allows"
                f" {chosen.max_retries}: shorten the one or raise the other"
            )
