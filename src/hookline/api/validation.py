"""pydantic's findings in, our own paths and sentences out; what was sent is never repeated.

pydantic's own words never come through, not even where a kind is not listed here: they speak of
Python's types, and change with its versions.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

from hookline.domain.targets import TransmissionType
from hookline.errors import FieldProblem
from hookline.integrations.requests import FIXED_FIELDS

_PLACES = frozenset({"body", "query", "path", "header"})
_TAGS = frozenset(TransmissionType)
_MOST = 50  # problems in one answer
_LONGEST_STEP = 80  # characters of a name that somebody else chose
_LIBRARY_KINDS = frozenset(get_args(ErrorType))
_OTHERWISE_WRONG = "This value is not possible here."
_ENUM_MEMBER = re.compile(r"<\w+\.\w+: '([^']*)'>")  # how Python prints one

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
    "int_parsing_size": "Send an integer.",
    "float_type": "Send a number.",
    "float_parsing": "Send a number.",
    "finite_number": "Send a number that fits a double.",
    "list_type": "Send an array.",
    "too_short": "Send at least {min_length}.",
    "too_long": "Send at most {max_length}.",
    "invalid_key": "Send a string.",
    "union_tag_not_found": "`type` is needed, to tell what kind this is.",
    "string_pattern_mismatch": "This has characters, or a form, that are not possible here.",
    "datetime_from_date_parsing": "Send a timestamp like 2026-01-31T12:00:00Z.",
    "datetime_parsing": "Send a timestamp like 2026-01-31T12:00:00Z.",
    "datetime_type": "Send a timestamp like 2026-01-31T12:00:00Z.",
    "timezone_aware": "Add a time zone, such as Z.",
    "string_too_long": "Send at most {max_length} characters.",
    "string_too_short": "Send at least {min_length} character(s).",
    "greater_than": "Send more than {gt}.",
    "greater_than_equal": "Send at least {ge}.",
    "less_than": "Send less than {lt}.",
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
    if kind in _SENTENCES:
        bounds = {name: _told(value) for name, value in finding.get("ctx", {}).items()}
        return _SENTENCES[kind].format(**bounds)
    return _OTHERWISE_WRONG if kind in _LIBRARY_KINDS else str(finding["msg"])


def _told(bound: object) -> str:
    """Return a bound as a person writes it: 1000, not 1000.0, and values without quotes."""
    if isinstance(bound, float) and bound.is_integer():
        return str(int(bound))
    return _ENUM_MEMBER.sub(r"\1", str(bound)).replace("'", "")


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
