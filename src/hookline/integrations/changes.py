"""A merge patch on an integration: every wrong field found, then every change made."""

from datetime import UTC, datetime

from hookline.db.models import Integration as Row
from hookline.domain.targets import TransmissionType
from hookline.integrations.checks import Checks
from hookline.integrations.requests import IntegrationPatch, TransmissionPatch
from hookline.integrations.sealing import open_headers, seal_headers, secret_binding
from hookline.security.secrets import KeyRing

_NO_NULL = "This can't be removed; send a value, or leave the field out."


async def check_url(patch: IntegrationPatch, row: Row, checks: Checks) -> None:
    """Check a new URL, which may take a look-up of its host and so is done outside transactions."""
    if patch.transmission is not None and patch.transmission.url is not None:
        await checks.url(TransmissionType(row.type), patch.transmission.url)


def apply(patch: IntegrationPatch, row: Row, keyring: KeyRing, checks: Checks, *, by: str) -> None:
    """Change the row as the patch says; raise InvalidInput, before any change, for what is wrong.

    `checks` may bring problems that were found before; `by` names who sent the patch.
    """
    _refuse_nulls(patch, checks)
    events = _merged_events(patch, row, checks)
    headers = _merged_headers(patch.transmission, row, keyring, checks)
    _check_aws_key(patch.transmission, row, checks)
    checks.raise_any()
    if events is not None:
        row.events = events
    if headers is not None:
        row.headers = seal_headers(headers, row.id, keyring)
    if patch.transmission is not None:
        _change_target(patch.transmission, row, keyring)
    row.name = row.name if patch.name is None else patch.name
    row.max_in_flight = patch.max_in_flight or row.max_in_flight
    if "rate_limit" in patch.model_fields_set:
        row.rate_limit = patch.rate_limit
    if patch.enabled is not None:
        switch(row, enabled=patch.enabled, reason="manual", by=by)


def starts_afresh(patch: IntegrationPatch) -> bool:
    """Whether what is known of the health no longer counts: it is enabled, or goes elsewhere."""
    return patch.enabled is True or (
        patch.transmission is not None and patch.transmission.url is not None
    )


def switch(row: Row, *, enabled: bool, reason: str, by: str) -> None:
    """Switch an integration on, which clears why it was off, or off, for this reason."""
    if enabled:
        row.disabled_reason = row.disabled_by = row.disabled_at = None
    elif row.enabled or row.disabled_reason is None:
        row.disabled_reason, row.disabled_by = reason, by
        row.disabled_at = datetime.now(UTC)
    row.enabled = enabled


def _refuse_nulls(patch: IntegrationPatch, checks: Checks) -> None:
    for name in patch.model_fields_set - {"filter", "rate_limit"}:
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


def _merged_events(
    patch: IntegrationPatch, row: Row, checks: Checks
) -> dict[str, str | list[str]] | None:
    if patch.events is None:
        return None
    merged = {**row.events, **patch.events}
    return checks.events({group: choice for group, choice in merged.items() if choice is not None})


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
        return {}
    replaced = {name.lower() for name in patch.headers}
    kept = {n: v for n, v in open_headers(row, keyring).items() if n.lower() not in replaced}
    merged = {**kept, **{n: v for n, v in patch.headers.items() if v is not None}}
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
        row.secret = keyring.seal(patch.secret_access_key, bound_to=secret_binding(row.id))
