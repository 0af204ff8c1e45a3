"""Two documents in, the changes between them out: operations first, then what receivers get."""

from collections.abc import Iterator
from typing import Any, Final

from apitools.changes import Change, added, broken, relaxed
from apitools.schemas import Direction, Schemas, compare_schemas

Document = dict[str, Any]  # Any: a JSON document

_METHODS: Final = ("get", "put", "post", "patch", "delete")
_ERROR: Final = 400


def compare(old: Document, new: Document) -> list[Change]:
    """Return every change that callers or receivers could notice, in the new document's order."""
    schemas = Schemas(old, new)
    before, after = dict(_operations(old)), dict(_operations(new))
    changes = [broken(name, "is gone") for name in before if name not in after]
    for name, operation in after.items():
        if name not in before:
            changes.append(added(name, f"is new: {operation['summary'].lower()}"))
        else:
            changes.extend(_operation(name, before[name], operation, schemas))
    changes.extend(_webhooks(old, new, schemas))
    return list(dict.fromkeys(changes))


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document.get("paths", {}).items():
        for method, operation in methods.items():
            if method in _METHODS:
                yield f"{method.upper()} {path}", operation


def _operation(name: str, old: Document, new: Document, schemas: Schemas) -> Iterator[Change]:
    if old["operationId"] != new["operationId"]:
        what = f"generated clients call it `{new['operationId']}`, no longer `{old['operationId']}`"
        yield broken(name, what)
    if new.get("deprecated") and not old.get("deprecated"):
        yield relaxed(name, "is deprecated")
    yield from _keys(name, _roles(old), _roles(new))
    yield from _parameters(name, old, new, schemas)
    yield from _request(name, old.get("requestBody"), new.get("requestBody"), schemas)
    yield from _answers(name, old["responses"], new["responses"], schemas)


def _roles(operation: Document) -> set[str]:
    """Return the roles that may call it, of older documents by the names of their schemes."""
    schemes = {scheme for option in operation.get("security", ()) for scheme in option}
    return set(operation.get("x-roles", ())) or {name.removesuffix("Key") for name in schemes}


def _keys(name: str, old: set[str], new: set[str]) -> Iterator[Change]:
    if not old and new:
        yield broken(name, "takes a key now")
    elif old and not new:
        yield relaxed(name, "takes no key any more")
    else:
        yield from (
            broken(name, f"no longer takes keys of the role `{role}`") for role in sorted(old - new)
        )
        yield from (
            added(name, f"takes keys of the role `{role}` too") for role in sorted(new - old)
        )


def _parameters(name: str, old: Document, new: Document, schemas: Schemas) -> Iterator[Change]:
    before = {(each["in"], each["name"]): each for each in old.get("parameters", ())}
    after = {(each["in"], each["name"]): each for each in new.get("parameters", ())}
    for key, parameter in before.items():
        place = f"{name} · {key[0]} parameter `{key[1]}`"
        if key not in after:
            yield broken(place, "is gone")
            continue
        if after[key].get("required") and not parameter.get("required"):
            yield broken(place, "is required now")
        changed = (parameter["schema"], after[key]["schema"])
        yield from compare_schemas(place, *changed, Direction.ASKED, schemas)
    for key, parameter in after.items():
        if key not in before:
            place = f"{name} · {key[0]} parameter `{key[1]}`"
            yield (broken if parameter.get("required") else added)(place, "is new")


def _request(
    name: str, old: Document | None, new: Document | None, schemas: Schemas
) -> Iterator[Change]:
    place = f"{name} · body"
    if old is None or new is None:
        if old is not None:
            yield broken(place, "is no longer taken")
        elif new is not None:
            yield (broken if new.get("required") else added)(place, "is new")
        return
    if new.get("required") and not old.get("required"):
        yield broken(place, "is required now")
    yield from _content(place, old["content"], new["content"], Direction.ASKED, schemas)


def _answers(name: str, old: Document, new: Document, schemas: Schemas) -> Iterator[Change]:
    for status in sorted(old.keys() | new.keys()):
        place = f"{name} · answer {status}"
        if status not in new:
            success = not status.isdecimal() or int(status) < _ERROR
            yield (broken if success else relaxed)(place, "is gone")
        elif status not in old:
            yield added(place, "is new")
        else:
            contents = (old[status].get("content", {}), new[status].get("content", {}))
            yield from _content(place, *contents, Direction.ANSWERED, schemas)
            gone = old[status].get("headers", {}).keys() - new[status].get("headers", {}).keys()
            yield from (broken(place, f"has no header `{header}` any more") for header in gone)


def _content(
    place: str, old: Document, new: Document, direction: Direction, schemas: Schemas
) -> Iterator[Change]:
    for media_type in old:
        if media_type not in new:
            yield broken(place, f"is no longer `{media_type}`")
        else:
            pair = (old[media_type]["schema"], new[media_type]["schema"])
            yield from compare_schemas(place, *pair, direction, schemas)
    yield from (added(place, f"may be `{each}`") for each in new if each not in old)


def _webhooks(old: Document, new: Document, schemas: Schemas) -> Iterator[Change]:
    before, after = old.get("webhooks", {}), new.get("webhooks", {})
    for name in before:
        if name not in after:
            yield broken(f"webhook `{name}`", "is gone")
    for name, item in after.items():
        place = f"webhook `{name}`"
        if name not in before:
            yield added(place, f"is new: {item['post']['summary'].lower()}")
            continue
        bodies = (before[name]["post"]["requestBody"], item["post"]["requestBody"])
        was, now = (body["content"] for body in bodies)
        yield from _content(place, was, now, Direction.ANSWERED, schemas)
