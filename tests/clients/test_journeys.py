"""The generated Python and TypeScript clients, compiled strictly, against a service."""

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from apitools.node import NODE
from apitools.typescript import compile_typescript, generate_types
from support.clients import ADMINISTRATION, JOURNEYS, READS, SEEN, program, run, surroundings
from support.openapi import OPERATIONS
from support.receivers import Receiver
from support.service import Service

_READS = {name: seen for name, seen in READS["reads"].items() if name != "statistics"}
PROGRAMS = {
    "journey": SEEN,
    "administration": ADMINISTRATION | {"reads": _READS | {"events": ["two"]}},
}
CALLS = {  # how a program of each client calls an operation
    "*.py": lambda operation: rf"\b{_snake(operation)}\.(sync|asyncio)",
    "*.ts": lambda operation: rf"\b{operation}\(",
    "*.java": lambda operation: rf"\.{operation}(WithHttpInfo)?\(",
    "openapi_generator/*.go": lambda operation: rf"\.{_pascal(operation)}\(",
    "oapi_codegen/*.go": lambda operation: rf"\.{_pascal(operation)}[A-Za-z]*WithResponse\b",
}
UNENDING = "streamDeliveries"  # read as lines, where a client has a function for that at all


@pytest.mark.parametrize("programs", CALLS)
def test_the_journeys_of_a_client_use_every_call(programs: str) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in JOURNEYS.glob(programs))
    used = {each for each in OPERATIONS if re.search(CALLS[programs](each), code)}
    assert OPERATIONS.keys() - used <= {UNENDING}
    assert re.search(rf"/v1/stream|\b(?i:{UNENDING})\(", code)


def _snake(name: str) -> str:
    return re.sub("(?=[A-Z])", "_", name).lower()


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]


@pytest.mark.timeout(900)
async def test_the_python_client_is_strictly_typed_and_does_what_a_user_needs(
    python_client: Path, service: Service, receiver: Receiver, admin_key: str
) -> None:
    for journey in PROGRAMS:
        shutil.copy(JOURNEYS / f"{journey}.py", python_client)
    (python_client / "guide.py").write_text(program("Python", "python"), encoding="utf-8")
    strictly = ("-m", "mypy", "--strict", "--config-file=", "--cache-dir=.mypy_cache", ".")
    await run(sys.executable, *strictly, folder=python_client)
    around = surroundings(service, receiver, admin_key)
    for journey, seen in PROGRAMS.items():
        printed = await run(sys.executable, f"{journey}.py", folder=python_client, **around)
        assert json.loads(printed) == seen
    assert {request.headers["user-agent"][:9] for request in receiver.requests} == {"Hookline/"}


@pytest.mark.timeout(900)
async def test_the_typescript_client_is_strictly_typed_and_does_what_a_user_needs(
    typescript_client: Path, service: Service, receiver: Receiver, admin_key: str
) -> None:
    for journey in PROGRAMS:
        shutil.copy(JOURNEYS / f"{journey}.ts", typescript_client)
    (typescript_client / "guide.ts").write_text(program("TypeScript", "ts"), encoding="utf-8")
    compiled = await asyncio.to_thread(compile_typescript, typescript_client)
    around = surroundings(service, receiver, admin_key)
    for journey, seen in PROGRAMS.items():
        printed = await run(NODE, compiled / f"{journey}.js", folder=typescript_client, **around)
        assert json.loads(printed) == seen


@pytest.mark.timeout(900)
def test_types_of_other_generators_are_strict_and_take_a_request_without_defaults(
    tmp_path: Path,
) -> None:
    generate_types(tmp_path)
    shutil.copy(JOURNEYS / "types.ts", tmp_path)
    compile_typescript(tmp_path)


def test_no_name_in_a_client_is_made_up_by_its_generator(python_client: Path) -> None:
    modules = {path.stem for path in (python_client / "hookline_client/models").glob("*.py")}
    assert {name for name in modules if "_type_" in name or name.startswith("body_")} == {
        "event_type_description",
        "event_type_put",
        # Named, a pattern that may be null is a union that Java's generator can't do.
        "integration_filter_type_0",
        "integration_create_filter_type_0",
        "integration_patch_filter_type_0",
        "filter_trial_request_filter_type_0",
    }


@pytest.mark.parametrize("vague", [": any", "<any", "any[]", "as any"])
def test_nothing_in_the_typescript_client_is_any(typescript_client: Path, vague: str) -> None:
    types = (typescript_client / "client" / "types.gen.ts").read_text(encoding="utf-8")
    code = [line for line in types.splitlines() if not line.lstrip().startswith("*")]
    assert not [line for line in code if vague in line]
