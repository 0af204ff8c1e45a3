import pytest
from openapi_spec_validator import validate

from support.openapi import DOCUMENT, OPERATIONS, SCHEMAS, WITHOUT_A_KEY, errors_of, nodes


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_operations_have_one_name_each_that_a_person_would_choose() -> None:
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert len(OPERATIONS) == len(operations)
    assert all(name.isalpha() and name[0].islower() for name in OPERATIONS)


def test_an_operation_is_described_with_its_errors(subtests: pytest.Subtests) -> None:
    known = {tag["name"] for tag in DOCUMENT["tags"]}
    for name, operation in OPERATIONS.items():
        with subtests.test(name):
            assert set(operation["tags"]) <= known
            assert operation["summary"]
            assert not operation["summary"].endswith(".")
            assert operation["description"]
            assert all(response["description"] for response in operation["responses"].values())
            if name in WITHOUT_A_KEY:
                continue
            assert operation["security"]
            assert {"401", "500", "503"} <= set(operation["responses"])
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
            assert "422" in operation["responses"] or not operation.get("requestBody")


def test_a_parameter_is_described_and_never_null(subtests: pytest.Subtests) -> None:
    for name, operation in OPERATIONS.items():
        with subtests.test(name):
            for parameter in operation.get("parameters", []):
                assert parameter["description"]
                assert "anyOf" not in parameter["schema"]
                assert "_" not in parameter["name"]


def test_a_schema_and_each_of_its_fields_is_described(subtests: pytest.Subtests) -> None:
    for name, schema in SCHEMAS.items():
        with subtests.test(name):
            assert schema.get("description")
            for field, described in schema.get("properties", {}).items():
                assert "description" in described or "$ref" in described, field
                assert "_" not in field


def test_unions_are_told_apart_by_a_field_or_have_a_name() -> None:
    unnamed = []
    for path, node in nodes(SCHEMAS):
        options = [
            option
            for option in (*node.get("anyOf", ()), *node.get("oneOf", ()))
            if option != {"type": "null"}
        ]
        told_apart = "discriminator" in node or all("title" in option for option in options)
        told_apart = told_apart or path.count("/") == 1  # a component: the union has a name
        if len(options) > 1 and not told_apart:
            unnamed.append(path)
    assert unnamed == []


def test_requests_and_answers_are_references_to_named_schemas() -> None:
    for name, operation in OPERATIONS.items():
        parts = [operation.get("requestBody", {}), *operation["responses"].values()]
        for part in parts:
            for media_type, content in part.get("content", {}).items():
                assert "$ref" in content["schema"] or media_type == "text/plain", name


def test_secrets_are_marked() -> None:
    for name in ("SqsTransmissionCreate", "TransmissionPatch"):
        assert SCHEMAS[name]["properties"]["secretAccessKey"]["format"] == "password"
    assert "secret" not in SCHEMAS["WebhookTransmissionCreate"]["properties"]
    assert "secretAccessKey" not in SCHEMAS["SqsTransmission"]["properties"]


def test_every_example_fits_its_schema() -> None:
    checked = 0
    for path, node in nodes(DOCUMENT):
        if "schema" in node and "examples" in node:
            examples = [example["value"] for example in node["examples"].values()]
            schema = node["schema"]
        elif isinstance(node.get("examples"), list):
            examples, schema = node["examples"], node
        else:
            continue
        for example in examples:
            assert errors_of(schema, example) == [], path
            checked += 1
    assert checked > 30
