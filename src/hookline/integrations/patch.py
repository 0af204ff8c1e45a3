"""A merge patch on an integration: every wrong field found, then every change made."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from hookline.db.models import Integration as Row
from hookline.domain.access import LONGEST_NAME
from hookline.domain.targets import Ordering, TransmissionType, host_of, is_fifo
from hookline.errors import DecryptionFailed
from hookline.integrations.checks import Checks
from hookline.integrations.encryption import (
    decrypt_headers,
    decrypt_secret,
    encrypt_headers,
    secret_binding,
)
from hookline.integrations.fields import Document
from hookline.integrations.requests import FIXED_FIELDS, IntegrationPatch, TransmissionPatch
from hookline.integrations.serializers import Integration
from hookline.security.secrets import KeyRing

READ_ONLY = "This is read-only, and reads otherwise than was sent."
_WHOLE_KEY = "Four characters are the end of the kept key's id; send both parts of a new key whole."
_NULLABLE = {"name", "filter", "omit", "delivery", "ordering", "max_in_flight", "rate_limit"}
_NO_NULL = "This can't be removed; send a value, or leave the field out."


async def check_url(patch: IntegrationPatch, row: Row, checks: Checks) -> None:
    """Check a new URL, which may take a look-up of its host and so is done outside transactions."""
    if (url := _moves_to(patch, row)) is not None:
        await checks.url(TransmissionType(row.type), url)


def check_read_only(patch: IntegrationPatch, shown: Integration, checks: Checks) -> None:
    """Refuse read-only fields that say something else than the integration, as it is shown."""
    for name, value in patch.read_only.items():
        if not says(shown, name, value):
            checks.refuse(name, f"{READ_ONLY} {FIXED_FIELDS[name]}")
    if patch.transmission is None:
        return
    for name, value in patch.transmission.read_only.items():
        if not says(shown.transmission, name, value):
            path = f"transmission.{name}"
            checks.refuse(path, f"{READ_ONLY} {FIXED_FIELDS.get(path, _WHOLE_KEY)}")


def apply_patch(
    patch: IntegrationPatch, row: Row, keyring: KeyRing, checks: Checks, *, by: str
) -> None:
    """Change the row as the patch says; raise InvalidInput, before any change, for what is wrong.

    `checks` may bring problems that were found before; `by` names who sent the patch.
    """
    _refuse_nulls(patch, checks)
    events = _merged_events(patch, row, checks)
    headers = _merged_headers(patch.transmission, row, keyring, checks)
    delivery = _merged_delivery(patch, row, checks)
    _check_aws_key(patch.transmission, row, checks)
    url = row.url if patch.transmission is None else patch.transmission.url or row.url
    checks.ordering(TransmissionType(row.type), url, patch.ordering)
    pattern = checks.filter(patch.filter)
    omit = checks.omit(patch.omit or []) if "omit" in patch.model_fields_set else None
    checks.raise_any()
    for name, value in (("events", events), ("delivery", delivery), ("omit", omit)):
        if value is not None and value != getattr(row, name):
            setattr(row, name, value)
    if "filter" in patch.model_fields_set:
        row.filter = pattern
    if headers is not None:
        row.headers = encrypt_headers(headers, row.id, keyring)
    if patch.transmission is not None:
        _change_target(patch.transmission, row, keyring)
    if "name" in patch.model_fields_set:
        _rename(patch.name, row)
    row.name = row.name if row.named else host_name(row.url)
    if "ordering" in patch.model_fields_set and not is_fifo(TransmissionType(row.type), row.url):
        row.ordering = patch.ordering or Ordering.NONE
    for name in patch.model_fields_set & {"max_in_flight", "rate_limit"}:
        setattr(row, name, getattr(patch, name))
    if patch.enabled is not None:
        switch(row, enabled=patch.enabled, reason="manual", by=by)


def host_name(url: str) -> str:
    """Return what an integration goes by that nobody named."""
    return (host_of(url) or url)[:LONGEST_NAME]


def starts_afresh(patch: IntegrationPatch, row: Row) -> bool:
    """Whether what is known of the health no longer counts: it is enabled, or goes elsewhere.

    A health that was sent back along with `enabled: true` is not asked to be forgotten.
    """
    enabled = patch.enabled is True and not (row.enabled and "health" in patch.read_only)
    return enabled or _moves_to(patch, row) is not None


def switch(row: Row, *, enabled: bool, reason: str, by: str) -> None:
    """Switch an integration on, which clears why it was off, or off, for this reason."""
    if enabled:
        row.disabled_reason = row.disabled_by = row.disabled_at = None
    elif row.enabled or row.disabled_reason is None:
        row.disabled_reason, row.disabled_by = reason, by
        row.disabled_at = datetime.now(UTC)
    row.enabled = enabled


def _rename(name: str | None, row: Row) -> None:
    """Name it; what it goes by without a name is no name where it is sent back."""
    if name is None:
        row.named = False
    elif name != row.name:
        row.name, row.named = name, True


def _refuse_nulls(patch: IntegrationPatch, checks: Checks) -> None:
    for name in patch.model_fields_set - _NULLABLE:
        if getattr(patch, name) is None:
            checks.refuse(_path(patch, name), _NO_NULL)
    transmission = patch.transmission
    if transmission is None:
        return
    for name in transmission.model_fields_set - {"headers"}:
        if getattr(transmission, name) is None:
            checks.refuse(f"transmission.{_path(transmission, name)}", _NO_NULL)


def _path(model: IntegrationPatch | TransmissionPatch, name: str) -> str:
    return type(model).model_fields[name].alias or name


def _moves_to(patch: IntegrationPatch, row: Row) -> str | None:
    """Return the URL that a patch sets, None where it sets none or the one that is there."""
    url = None if patch.transmission is None else patch.transmission.url
    return None if url == row.url else url


def says(shown: Document, name: str, value: object) -> bool:
    """Whether a document as it is shown has this value: a timestamp may be written otherwise."""
    document = shown.model_dump(mode="json", by_alias=True)
    try:
        return type(shown).model_validate({**document, name: value}) == shown
    except ValidationError:
        return False


def _merged_events(
    patch: IntegrationPatch, row: Row, checks: Checks
) -> dict[str, str | list[str]] | None:
    if patch.events is None:
        return None
    stored: object = row.events  # of a damaged row: whatever it holds
    merged = {**(stored if isinstance(stored, dict) else {}), **patch.events}
    if merged == row.events:  # sent back as it was read, types that are known no longer too
        return None
    return checks.events({group: choice for group, choice in merged.items() if choice is not None})


def _merged_delivery(
    patch: IntegrationPatch, row: Row, checks: Checks
) -> dict[str, dict[str, Any]] | None:
    """Return what is said of each group as it will be, or None where all stays as it is."""
    if "delivery" not in patch.model_fields_set:
        return None
    merged: dict[str, dict[str, Any]] = {}
    if patch.delivery is not None:
        checks.groups("delivery", patch.delivery)
        merged = {group: dict(parts) for group, parts in row.delivery.items()}
        for group, change in patch.delivery.items():
            parts = merged.pop(group, {})
            if change is None:
                continue
            parts |= change.model_dump(mode="json", by_alias=True, exclude_unset=True)
            if kept := {name: value for name, value in parts.items() if value is not None}:
                merged[group] = kept
    return None if merged == row.delivery else merged


def _merged_headers(
    patch: TransmissionPatch | None, row: Row, keyring: KeyRing, checks: Checks
) -> dict[str, str] | None:
    """Return all headers as they will be, or None where they stay; names differ in case only."""
    if patch is None or "headers" not in patch.model_fields_set:
        return None
    if row.type != TransmissionType.WEBHOOK:
        checks.refuse("transmission.headers", "Only a webhook has headers; leave them out.")
        return None
    if patch.headers is None:
        return {} if row.headers else None
    there: dict[str, str] = {}
    with suppress(DecryptionFailed):  # what cannot be read is replaced
        there = decrypt_headers(row, keyring)
    respelt = {name.lower() for name in patch.headers if name not in there}
    kept = {n: v for n, v in there.items() if n.lower() not in respelt}
    merged = {n: v for n, v in {**kept, **patch.headers}.items() if v is not None}
    if merged == there:
        return None
    checks.headers(merged)
    return merged


def _check_aws_key(patch: TransmissionPatch | None, row: Row, checks: Checks) -> None:
    if patch is None:
        return
    sent = patch.model_fields_set & {"access_key_id", "secret_access_key"}
    if row.type != TransmissionType.AWS_SQS:
        for name in sent:
            path = f"transmission.{_path(patch, name)}"
            checks.refuse(path, "Only an AWS_SQS transmission has this; leave it out.")
    elif len(sent) == 1:
        missing = ({"access_key_id", "secret_access_key"} - sent).pop()
        path = f"transmission.{_path(patch, missing)}"
        checks.refuse(path, "An AWS key is replaced as a pair: send both of its parts.")


def _change_target(patch: TransmissionPatch, row: Row, keyring: KeyRing) -> None:
    row.url = patch.url or row.url
    if patch.access_key_id is not None and patch.secret_access_key is not None:
        row.access_key_id = patch.access_key_id
        if not _is_kept(patch.secret_access_key, row, keyring):
            row.secret = keyring.encrypt(patch.secret_access_key, bound_to=secret_binding(row.id))


def _is_kept(secret: str, row: Row, keyring: KeyRing) -> bool:
    try:
        return decrypt_secret(row, keyring) == secret
    except DecryptionFailed:
        return False
