"""What generated clients and readers rely on, beyond what linters know."""

from itertools import groupby

import pytest

from factories import sample_events
from hookline.domain.access import Role
from hookline.domain.catalogue import load_catalogue
from support.openapi import (
    DOCUMENT,
    OPERATIONS,
    SCHEMAS,
    WITHOUT_A_KEY,
    Node,
    errors_of,
    nodes,
)

CATALOGUE = load_catalogue()
UNITS = ("millisecond", "second", "hour", "day")


def references(node: object) -> set[str]:
    return {part["$ref"].rpartition("/")[2] for _, part in nodes(node) if "$ref" in part}


def requested() -> set[str]:
    """The names of the schemas that requests are made of."""
    found: set[str] = set()
    waiting = set().union(*(references(each.get("requestBody")) for each in OPERATIONS.values()))
    while waiting:
        found |= waiting
        waiting = set().union(*(references(SCHEMAS[name]) for name in waiting)) - found
    return found


def test_it_is_read_in_the_order_of_its_tags() -> None:
    told = [tag["name"] for tag in DOCUMENT["tags"]]
    order = [tag for tag, _ in groupby(each["tags"][0] for each in OPERATIONS.values())]
    assert [*order, "Webhooks"] == told


def test_every_example_of_an_answer_or_a_request_fits() -> None:
    wrong, checked = [], 0
    for path, node in nodes(DOCUMENT):
        if "schema" in node and "example" in node:
            checked += 1
            wrong += [f"{path}: {error}" for error in errors_of(node["schema"], node["example"])]
    assert wrong == []
    assert checked > 150


def test_an_operation_shows_an_answer_for_each_status(subtests: pytest.Subtests) -> None:
    readiness = {"$ref": "#/components/schemas/ReadinessReport"}
    for name, operation in OPERATIONS.items():
        with subtests.test(name):
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    if content["schema"] != readiness:
                        told = f"{status}: add one to hookline.api.openapi.answers"
                        assert "example" in content, told


def test_an_operation_says_which_keys_it_takes(subtests: pytest.Subtests) -> None:
    for name, operation in OPERATIONS.items():
        with subtests.test(name):
            if name in WITHOUT_A_KEY:
                assert operation["security"] == []
                assert "x-roles" not in operation
            else:
                assert operation["security"] == [{"bearer": []}]
                assert operation["x-roles"][0] == "admin"
                assert set(operation["x-roles"]) <= set(Role)
                assert all(f"`{role}`" in operation["description"] for role in operation["x-roles"])


def test_every_operation_may_refuse_a_parameter_that_it_does_not_have() -> None:
    lacking = [
        name
        for name, operation in OPERATIONS.items()
        if name not in WITHOUT_A_KEY and "422" not in operation["responses"]
    ]
    assert lacking == []


def test_there_is_one_scheme_of_keys_so_that_clients_have_one_setter() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert [name for name, scheme in schemes.items() if scheme["type"] == "http"] == ["bearer"]


def test_what_is_inside_has_a_name_of_its_own(subtests: pytest.Subtests) -> None:
    for name, schema in SCHEMAS.items():
        with subtests.test(name):
            for path, node in nodes(schema):
                inner = path != "#" and "/properties/" in path
                assert not (inner and "enum" in node), f"{path}: name it with a TypeAliasType"
                assert not (inner and "properties" in node), f"{path}: name it with a TypeAliasType"


def test_numbers_have_bounds(subtests: pytest.Subtests) -> None:
    asked = requested()
    for name, schema in SCHEMAS.items():
        with subtests.test(name):
            for path, node in nodes(schema):
                if node.get("type") in ("integer", "number") and "const" not in node:
                    assert "minimum" in node, path
                    assert "maximum" in node or name not in asked, path


def test_texts_that_are_asked_have_a_form_or_an_end(subtests: pytest.Subtests) -> None:
    for name in sorted(requested()):
        with subtests.test(name):
            for path, node in nodes(SCHEMAS[name]):
                if node.get("type") == "string":
                    assert node.keys() & {"maxLength", "const", "enum", "format", "pattern"}, path


def test_a_duration_names_its_unit(subtests: pytest.Subtests) -> None:
    for name, schema in SCHEMAS.items():
        with subtests.test(name):
            for field, described in schema.get("properties", {}).items():
                if described.get("type") in ("integer", "number") and (
                    "time" in field.lower() or "duration" in field.lower() or field == "offset"
                ):
                    text = described["description"].lower()
                    assert any(unit in text for unit in UNITS), field


def test_answers_may_gain_fields_and_requests_may_not() -> None:
    asked = requested()
    closed = {name for name in SCHEMAS if SCHEMAS[name].get("additionalProperties") is False}
    assert closed <= asked
    assert {
        "IntegrationCreate",
        "IntegrationPatch",
        "SecretRotationRequest",
        "TestRequest",
    } <= closed


def test_unions_of_objects_have_a_discriminator() -> None:
    for path, node in nodes(SCHEMAS):
        options = [each for each in node.get("oneOf", ()) if "$ref" in each]
        if len(options) > 1:
            assert set(node["discriminator"]["mapping"].values()) == {
                option["$ref"] for option in options
            }, path


def test_a_webhook_describes_every_event_type_of_the_catalogue(subtests: pytest.Subtests) -> None:
    for kind in CATALOGUE.types:
        with subtests.test(kind.name):
            received = DOCUMENT["webhooks"][kind.name]["post"]
            headers = {part["$ref"].rpartition("/")[2] for part in received["parameters"]}
            assert headers == DOCUMENT["components"]["parameters"].keys()
            content = received["requestBody"]["content"]["application/json"]
            assert list(content["example"])[-2:] == ["integrationId", "data"]
            newer = {**content["example"], "fromNewerFirmware": 1}
            newer["data"] = {**newer["data"], "fromNewerFirmware": {"of": "any kind"}}
            assert errors_of(content["schema"], newer) == []
            for field in ("integrationId", "company", "time", "data"):
                without = {name: value for name, value in newer.items() if name != field}
                assert errors_of(content["schema"], without)
            assert errors_of(content["schema"], {**newer, "type": "call:other"})


def test_there_is_a_webhook_for_nothing_else() -> None:
    assert list(DOCUMENT["webhooks"]) == [kind.name for kind in CATALOGUE.types]


@pytest.mark.parametrize("event", sample_events(), ids=lambda event: event["type"])
def test_what_pbxs_really_send_fits(event: Node) -> None:
    content = DOCUMENT["webhooks"][event["type"]]["post"]["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    assert errors_of(schema, {**event, "integrationId": "s95eum"}) == []
