"""The generated Go and Java clients, compiled, against a service that runs."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from apitools import go, java
from support.clients import (
    ADMINISTRATION,
    JOURNEYS,
    READS,
    SEEN,
    program,
    run,
    skip_without,
    surroundings,
)
from support.receivers import Receiver
from support.service import Service

GO = {
    "openapi_generator": ("Go with openapi-generator", [*go.missing(), *java.missing()]),
    "oapi_codegen": ("Go with oapi-codegen", go.missing()),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("generator", GO)
async def test_a_go_client_does_what_a_user_needs(
    generator: str, service: Service, receiver: Receiver, admin_key: str, tmp_path: Path
) -> None:
    heading, missing = GO[generator]
    skip_without(heading, missing)
    module = tmp_path / "module"
    shutil.copytree(await asyncio.to_thread(go.go_clients), module)
    shutil.copytree(JOURNEYS / generator, module / "journey")
    (module / "guide").mkdir()
    (module / "guide" / "main.go").write_text(program(heading, "go"), encoding="utf-8")
    programs = ("./journey", "./guide")
    await asyncio.to_thread(go.build_go, tmp_path, *programs, module=module)
    around = surroundings(service, receiver, admin_key)
    seen = json.loads(await run(tmp_path / "journey", folder=tmp_path, **around))
    assert seen == SEEN | ADMINISTRATION | READS
    assert (await run(tmp_path / "guide", folder=tmp_path, **around)).endswith(" [CRM CRM]\n")


@pytest.mark.timeout(600)
async def test_the_java_client_does_what_a_user_needs(
    service: Service, receiver: Receiver, admin_key: str, tmp_path: Path
) -> None:
    skip_without("Java", java.missing())
    client = await asyncio.to_thread(java.java_client)
    guide, classes = tmp_path / "Guide.java", tmp_path / "classes"
    guide.write_text(program("Java", "java"), encoding="utf-8")
    sources = (*sorted(JOURNEYS.glob("*.java")), guide)
    using = client / "classes"
    await asyncio.to_thread(java.compile_java, classes, *sources, using=using)
    around = surroundings(service, receiver, admin_key)
    journey = java.java_command(classes, "Journey", using=using)
    seen = json.loads(await run(*journey, folder=tmp_path, **around))
    assert seen == SEEN | ADMINISTRATION | READS
    guided = java.java_command(classes, "Guide", using=using)
    assert (await run(*guided, folder=tmp_path, **around)).endswith(" [CRM, CRM]\n")
