"""pydantic's findings in, our own paths and sentences out; what was sent is never repeated."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hookline.domain.targets import TransmissionType
from hookline.errors import FieldProblem
from hookline.integrations.requests import FIXED_FIELDS

_PLACES = frozenset({"body", "query", "path", "header"})
_TAGS = frozenset(TransmissionType)
_MOST = 50  # problems in one answer
_LONGEST_STEP = 80  # characters of a name that somebody else chose

_SENTENCES = {
    "missing": "This is needed.",
    "extra_forbidden": "There is no such field; remove it.",
    "string_unicode": "Leave out lone surrogates.",
    "none_required": "Only null is possible so far; leave it out.",
    "model_attributes_type": "Send a JSON object.",
    "model_type": "Send a JSON object.",
    "dict_type": "Send a JSON object.",
    "string_type": "Send a string.",
    "bool_type": "Send true or false.",
    "bool_parsing": "Send true or false.",
    "int_type": "Send an integer.",
    "int_parsing": "Send an integer.",
    "int_from_float": "Send an integer.",
    "union_tag_not_found": "`type` is needed, to tell what kind this is.",
    "string_pattern_mismatch": "This has characters, or a form, that are not possible here.",
    "datetime_from_date_parsing": "Send a moment like 2026-01-31T12:00:00Z.",
    "datetime_parsing": "Send a moment like 2026-01-31T12:00:00Z.",
    "datetime_type": "Send a moment like 2026-01-31T12:00:00Z.",
    "timezone_aware": "Add a time zone, such as Z.",
    "string_too_long": "Send at most {max_length} characters.",
    "string_too_short": "Send at least {min_length} character(s).",
    "greater_than_equal": "Send at least {ge}.",
    "less_than_equal": "Send at most {le}.",
    "literal_error": "Possible are: {expected}.",
    "enum": "Possible are: {expected}.",
    "union_tag_invalid": "Possible are: {expected_tags}.",
    "uuid_parsing": "Send a UUID.",
    "uuid_type": "Send a UUID.",
}


def field_problems(found: Iterable[Mapping[str, Any]]) -> list[FieldProblem]:
    """Return each finding with a path like `transmission.url` or `events.call[0]`."""
    return [_problem(finding) for finding, _ in zip(found, range(_MOST), strict=False)]


def _problem(finding: Mapping[str, Any]) -> FieldProblem:
    kind: str = finding["type"]
    path = _path(finding["loc"])
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        path = f"{path}.type"
    return FieldProblem(path or "body", _sentence(kind, path, finding))


def _sentence(kind: str, path: str, finding: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden" and path in FIXED_FIELDS:
        return FIXED_FIELDS[path]
    if kind not in _SENTENCES:
        return f"{finding['msg']}".rstrip(".") + "."
    bounds = {name: str(value).replace("'", "") for name, value in finding.get("ctx", {}).items()}
    return _SENTENCES[kind].format(**bounds)


def _path(steps: Sequence[int | str]) -> str:
    if steps and steps[0] in _PLACES:
        steps = steps[1:]
    path = ""
    before: int | str | None = None
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not (before == "transmission" and step in _TAGS):
            path += f".{step[:_LONGEST_STEP]}"
        before = step
    return path.removeprefix(".")
