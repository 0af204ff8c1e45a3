"""`/reference`: the whole document as one page to read, search and print, without a script."""

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, Final

Node = dict[str, Any]  # Any: a part of a JSON document

_PREFIX: Final = "#/components/schemas/"
_BOUNDS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} of them",
    "pattern": "like {}",
}
_REQUIRED: Final = ("Required.",)
_ALWAYS: Final = ("Always there.",)
_STYLE: Final = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2433; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2 } h2 { border-top: 1px solid #d5dae3; padding-top: 2rem; margin-top: 3rem }
h3 { margin-top: 2.5rem } nav { columns: 16rem; font-size: .9rem } nav a { display: block }
code, pre { font: .9em ui-monospace, monospace; background: #f2f4f8; border-radius: .25rem }
code { padding: .1em .3em; overflow-wrap: anywhere } pre { padding: .75rem; overflow: auto }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .5rem 0 1rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-top: 1px solid #e6e9ef }
a { color: #1a56c4 } small { color: #5a6478 } td p { margin: 0 } summary { cursor: pointer; color: #5a6478 }
"""  # noqa: E501 - a rule a line
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} API reference</title>
<style>{style}</style>
<main>{body}</main>
</html>
"""


def reference_page(document: Node) -> str:
    """Return the document as one HTML page."""
    title = escape(document["info"]["title"])
    return _PAGE.format(title=title, style=_STYLE, body="\n".join(_body(document)))


def _body(document: Node) -> Iterator[str]:
    info, schemas = document["info"], document["components"]["schemas"]
    yield f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1>"
    yield _text(info["description"])
    yield '<p><a href="/docs">Try it</a> · <a href="/v1/openapi.json">openapi.json</a></p>'
    operations = list(_operations(document))
    yield "<nav>" + "".join(_link(each["operationId"], each["summary"]) for _, each in operations)
    yield "</nav>"
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>{_text(tag['description'])}"
        for address, operation in operations:
            if tag["name"] in operation["tags"]:
                yield from _operation(address, operation, document)
    yield '<h2 id="schemas">Schemas</h2>'
    for name, schema in schemas.items():
        yield from _schema(name, schema)


def _operations(document: Node) -> Iterator[tuple[str, Node]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation
    for name, methods in document["webhooks"].items():
        yield name, methods["post"]


def _operation(address: str, operation: Node, document: Node) -> Iterator[str]:
    yield f'<h3 id="{escape(operation["operationId"])}">{escape(operation["summary"])}</h3>'
    yield f"<p><code>{escape(address)}</code></p>{_text(operation['description'])}"
    components = document["components"]
    parameters = [_found(each, components) for each in operation.get("parameters", ())]
    if parameters:
        yield _table(
            (
                f"{_code(each['name'])} <small>{each['in']}</small>",
                _kind(each["schema"]),
                _text(each["description"], *(_REQUIRED if each.get("required") else ())),
            )
            for each in parameters
        )
    if body := operation.get("requestBody"):
        yield from _contents("Body", body["content"])
    rows = []
    for status, named in operation["responses"].items():
        answer = _found(named, components)
        kinds = {_kind(each["schema"]) for each in answer.get("content", {}).values()}
        rows.append((_code(status), " ".join(kinds), _text(answer["description"])))
    yield _table(rows)
    for status, answer in operation["responses"].items():
        if status.startswith("2") and "content" in answer:
            yield from _contents(f"Answer {status}", answer["content"], only_examples=True)


def _contents(title: str, content: Node, *, only_examples: bool = False) -> Iterator[str]:
    for media_type, described in content.items():
        if not only_examples:
            yield f"<p>{title}: {_code(media_type)}, {_kind(described['schema'])}</p>"
        examples = dict(described.get("examples", {}))
        if "example" in described:
            examples[""] = {"summary": f"{title}: an example", "value": described["example"]}
        for example in examples.values():
            value = example["value"]
            text = isinstance(value, str)
            shown = value if text else json.dumps(value, indent=2, ensure_ascii=False)
            summary = escape(example["summary"])
            yield f"<details><summary>{summary}</summary><pre>{escape(shown)}</pre></details>"


def _schema(name: str, schema: Node) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3>{_text(schema.get("description", ""))}'
    if fields := schema.get("properties"):
        required = set(schema.get("required", ()))
        yield _table(
            (
                _code(field),
                _kind(described),
                _text(described.get("description", ""), *(_ALWAYS if field in required else ())),
            )
            for field, described in fields.items()
        )
    else:
        yield f"<p>{_kind(schema)}</p>"


def _kind(schema: Node) -> str:
    """Tell a schema in a few words, with links to the named ones."""
    if "$ref" in schema:
        return _link(schema["$ref"].removeprefix(_PREFIX), code=True)
    if options := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(_kind(option) for option in options)
    if "const" in schema:
        return _code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " · ".join(_code(str(value)) for value in schema["enum"])
    kinds = schema.get("type", "anything")
    told = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if kinds == "array":
        told = f"list of {_kind(schema.get('items', {}))}"
    elif isinstance(schema.get("additionalProperties"), dict):
        told = f"object of {_kind(schema['additionalProperties'])}"
    facts = [schema["format"]] if "format" in schema else []
    facts += [text.format(schema[name]) for name, text in _BOUNDS.items() if name in schema]
    return told + "".join(f", {escape(str(fact))}" for fact in facts)


def _found(part: Node, components: Node) -> Node:
    if "$ref" not in part:
        return part
    _, _, section, name = part["$ref"].split("/")
    found: Node = components[section][name]
    return found


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _link(anchor: str, text: str = "", *, code: bool = False) -> str:
    shown = _code(anchor) if code else escape(text)
    return f'<a href="#{escape(anchor)}">{shown}</a>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _text(markdown: str, *notes: str) -> str:
    """Print what descriptions use of Markdown: paragraphs, headings, code and bold words."""
    told = escape(markdown, quote=False).strip()
    told = re.sub(r"^### (.+)\n", r"\n<h3>\1</h3>\n\n", told, flags=re.MULTILINE)
    told = re.sub(r"`([^`]+)`", r"<code>\1</code>", told)
    told = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", told)
    paragraphs = [*re.split(r"\n{2,}", told), *(f"<small>{note}</small>" for note in notes)]
    return "".join(
        each if each.startswith("<h3>") else f"<p>{each}</p>" for each in paragraphs if each
    )
