"""Every constraint of every request, broken at the real server: told where, in our own words."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pydantic_core import _pydantic_core

from factories import Json, a_webhook
from support.databases import Databases
from support.service import Service, services
from support.violations import Schemas, wrong_texts

TEMPLATES = re.compile(
    "|".join(
        re.sub(r"\\{.*?\\}", ".*", re.escape(each["message_template_python"]))
        for each in _pydantic_core.list_all_errors()
        if not each["message_template_python"].startswith("{")
    )
)
FOREIGN = re.compile(r"Input should|validation|<[A-Z]|[Pp]ython|pydantic|\w+_type|NoneType|dict\b")
OF_A_NUMBER = re.compile(r"Send at (least|most) \d+\.")
BY_SCHEMA_ALONE = {  # (operation, what is wrong), or (operation, path, what is wrong)
    # null is taken for a field that may be left out: tests/schemathesis.toml says why
    ("createIntegration", "type null"),
    ("createKey", "type null"),
    ("startReplay", "type null"),
    ("tryFilter", "type null"),
    ("putPbx", "presenceEvents", "type null"),
    ("putEventType", "description", "type null"),
    ("putEventType", "format", "type null"),
    ("putEventType", "licensed", "type null"),
    ("rotateIntegrationSecret", "gracePeriodHours", "type null"),
    # a union of null and another schema is more than Java's generator can do
    ("updateIntegration", "delivery", "type null"),
    ("updateIntegration", "ordering", "type null"),
    ("tryFilter", "integrationId", "pattern"),  # there is none: 404, as in a path
}


@pytest.fixture(scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("constraints")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        yield await starter.start(REQUESTS_PER_SECOND="1000000")


@pytest.fixture(scope="module")
async def document(service: Service) -> Json:
    return await service.read("/v1/openapi.json")


@pytest.fixture(scope="module")
async def integration(service: Service) -> str:
    answer = await service.api.post("/v1/integrations", a_webhook(url="http://127.0.0.1:9/hook"))
    return str(answer.json()["id"])


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def required(operation: Json, but: str) -> list[str]:
    """Return the query parameters, but for one, that an operation cannot do without."""
    return [
        f"{each['name']}={each['schema']['examples'][0][0]}"
        for each in operation.get("parameters", ())
        if each["in"] == "query" and each["required"] and each["name"] != but
    ]


def address(path: str, integration: str) -> str:
    """Return a path with an id of everything that it names."""
    return re.sub(r"\{\w+\}", integration, path)


def problems_of(answer: httpx.Response, told: str) -> list[Json]:
    """Return the wrong fields that an answer names, each in our own words."""
    assert answer.status_code == 422, f"{told}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    errors: list[Json] = answer.json()["errors"]
    for error in errors:
        message = error["message"]
        assert not TEMPLATES.match(message), f"{told}: {message}"
        assert not FOREIGN.search(message), f"{told}: {message}"
        assert re.fullmatch(r"[A-Z`\"'].*[.]", message), f"{told}: {message}"
    return errors


def bodies(document: Json) -> Iterator[tuple[str, str, Json, str, list[Any]]]:
    """Yield the operations that take JSON, each with its media type, schema and examples."""
    schemas = Schemas(document)
    for method, path, operation in operations(document):
        if "requestBody" not in operation or "/events" in path:
            continue  # events are PBXs' documents: tests/domain/test_events.py has theirs
        [(media_type, content)] = operation["requestBody"]["content"].items()
        examples = [each["value"] for each in content.get("examples", {}).values()]
        yield (
            method,
            path,
            operation | {"schema": content["schema"]},
            media_type,
            examples or [schemas.sample(content["schema"])],
        )


async def test_every_broken_body_is_told_where_in_our_words(
    service: Service, document: Json, integration: str
) -> None:
    schemas = Schemas(document)
    broken: set[tuple[str, str, str]] = set()
    for method, path, operation, media_type, examples in bodies(document):
        found = (schemas.violations(operation["schema"], example) for example in examples)
        for violation in chain.from_iterable(found):
            told = (operation["operationId"], violation.path, violation.what)
            alone = {told, (told[0], told[2])} & BY_SCHEMA_ALONE
            if told in broken or alone or not violation.path:
                continue
            answer = await service.api.request(
                method,
                address(path, integration),
                content=json.dumps(violation.value),
                headers={"Content-Type": media_type},
            )
            paths = [error["path"] for error in problems_of(answer, str(told))]
            assert any(each.startswith(violation.path) for each in paths), f"{told}: {paths}"
            broken.add(told)
    assert len(broken) > 300


async def test_every_broken_parameter_is_told_where_in_our_words(
    service: Service, document: Json
) -> None:
    schemas = Schemas(document)
    broken = 0
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] != "query":
                continue
            name = parameter["name"]
            for text in wrong_texts(schemas, parameter["schema"]):
                sent = text if " " in text or "+" in text else quote(text)
                query = "&".join([f"{name}={sent}", *required(operation, but=name)])
                answer = await service.api.request(method, f"{path}?{query}")
                told = f"{operation['operationId']} {name}={text[:40]!r}"
                [problem] = problems_of(answer, told)
                assert problem["path"].removesuffix("[0]") == name, told
                bounds = OF_A_NUMBER.fullmatch(problem["message"])
                assert not bounds or parameter["schema"]["type"] != "string", told
                broken += 1
    assert broken > 80


async def test_every_broken_path_and_header_is_told_where_in_our_words(
    service: Service, document: Json, integration: str
) -> None:
    """An id may be any text in a path: what nothing has for an id is not found."""
    schemas = Schemas(document)
    broken = 0
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            name, place = parameter["name"], parameter["in"]
            if place == "query" or name.endswith("Id"):
                continue
            for text in wrong_texts(schemas, parameter["schema"]):
                if place == "path" and text:
                    at = address(path.replace(f"{{{name}}}", quote(text, safe="")), integration)
                    answer = await service.api.request(method, at)
                elif place == "header" and text.isprintable() and text:
                    at = address(path, integration)
                    answer = await service.api.request(method, at, headers={name: text})
                else:
                    continue
                told = f"{operation['operationId']} {name}={text[:40]!r}"
                assert name in [error["path"] for error in problems_of(answer, told)], told
                broken += 1
    assert broken > 10


async def test_an_unknown_or_repeated_parameter_is_named_by_every_operation(
    service: Service, document: Json, integration: str
) -> None:
    addresses = [
        *((method, address(path, integration)) for method, path, _ in operations(document)),
        ("GET", "/v1/openapi.json"),
    ]
    for method, path in addresses:
        answer = await service.api.request(method, f"{path}?unlikely=1&next_page&%70bx%00=")
        told = f"{method} {path}"
        named = [error["path"] for error in problems_of(answer, told)]
        assert named == ["unlikely", "next_page", "pbx\x00"], told
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query":
                twice = f"{address(path, integration)}?{parameter['name']}=7&{parameter['name']}=7"
                answer = await service.api.request(method, twice)
                told = f"{method} {twice}"
                repeated = "Give this parameter once." in answer.text
                assert repeated == (parameter["schema"].get("type") != "array"), told


@pytest.mark.parametrize("query", ["pbx=%ff", "p%e4x=1", "&".join(f"p{n}=" for n in range(120))])
async def test_a_query_that_cannot_be_read_is_refused(service: Service, query: str) -> None:
    answer = await service.api.get(f"/v1/integrations?{query}")
    assert [error["path"] for error in problems_of(answer, query)] == ["query"]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json-patch+json",
        "application/vnd.api+json",
        "application/problem+json",
        "text/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-16",
        "json",
        "",
    ],
)
async def test_another_content_type_is_refused_by_every_operation(
    service: Service, document: Json, integration: str, kind: str
) -> None:
    for method, path, operation, media_type, [example, *_] in bodies(document):
        refused = await service.api.request(
            method,
            address(path, integration),
            content=json.dumps(example),
            headers={"Content-Type": kind},
        )
        told = f"{operation['operationId']} {kind}: {refused.text}"
        assert refused.status_code == 415, told
        assert "charset" in kind or media_type in refused.json()["detail"], told


async def test_a_merge_patch_is_taken_where_something_is_patched_alone(
    service: Service, integration: str
) -> None:
    path = f"/v1/integrations/{integration}"
    for kind in ("application/merge-patch+json", "application/json; charset=UTF-8"):
        headers = {"Content-Type": kind}
        assert (
            await service.api.request("PATCH", path, content=b"{}", headers=headers)
        ).is_success, kind
    merge = {"Content-Type": "application/merge-patch+json"}
    refused = await service.api.request("POST", f"{path}/test", content=b"{}", headers=merge)
    assert refused.status_code == 415


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"{}{}", 400),
        (b"\xff\xfe{\x00}\x00", 400),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"type": "\xff"}', 400),
        (b'{"type": "\xed\xa0\x80"}', 400),
        (b'{"type": "a\x00b"}', 400),
        (b'{"type": NaN}', 400),
        (b'{"type": -Infinity}', 400),
        (b'{"type": 01}', 400),
        (b'{"company": "a", "company": "a"}', 400),
        (b'{"events": {"call": "all", "\\u0063all": "all"}}', 400),
        (b'{"type": ' + b"[" * 100_000, 413),
        (b'{"type": ' + b'{"a":' * 300 + b"1" + b"}" * 301, 413),
        (b'{"type": 1e999}', 422),
        (b'{"type": ' + b"9" * 100_000 + b"}", 422),
        (b'{"type": "\\ud800"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"\\u0000": 1}', 422),
        (b'{"": 1}', 422),
        (b'{"type": "\\u0000"}', 422),
    ],
)
async def test_no_json_however_broken_is_the_services_fault(
    service: Service, document: Json, integration: str, body: bytes, status: int
) -> None:
    for method, path, operation, media_type, _ in bodies(document):
        answer = await service.api.request(
            method,
            address(path, integration),
            content=body,
            headers={"Content-Type": media_type},
        )
        assert answer.status_code == status, f"{operation['operationId']}: {answer.text}"
        detail = answer.json()["detail"]
        assert detail.endswith("."), detail
        assert not FOREIGN.search(detail), detail
