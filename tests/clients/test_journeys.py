"""Both generated clients, compiled as strictly as can be, against a service that runs."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from apitools.clients import compile_typescript
from apitools.node import NODE
from support.receivers import Receiver
from support.service import Service

JOURNEYS = Path(__file__).parent / "journeys"
GUIDE = Path(__file__).parents[2] / "docs" / "clients.md"
PATIENCE = 100  # seconds; each takes about two

SEEN: dict[str, Any] = {  # Any: a JSON document
    "groups": ["call", "conference", "chat", "analytics", "presence", "sms", "service"],
    "accessKeyId": "MPLE",
    "wrong": ["transmission.url", "events.call[0]"],
    "pages": [["Warehouse"], ["CRM"]],
    "secrets": {"shownOnce": True, "replaced": True, "oldSignsAlong": True},
    "batch": ["accepted", "duplicate", "invalid: /problems/invalid-input"],
    "test": ["delivered", 200],
    "retried": {"status": "delivered", "attempts": ["delivered", "delivered"], "listed": True},
    "changed": [False, 5, "manual", "/problems/stale"],
    "after": [204, 404, "/problems/not-found"],
}


def program(fence: str) -> str:
    """Return the guide's only program in a language."""
    text = GUIDE.read_text(encoding="utf-8")
    [found] = re.findall(rf"^```{fence}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return str(found)


async def run(*command: str | Path, folder: Path, **env: str) -> str:
    """Run a program in a folder and return what it printed; fail with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=os.environ | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            printed, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (printed + complaints).decode()
    return printed.decode()


def surroundings(service: Service, receiver: Receiver, key: str) -> dict[str, str]:
    return {
        "SERVICE": service.url,
        "KEY": key,
        "RECEIVER": f"http://127.0.0.1:{receiver.port}/hook",
    }


@pytest.mark.timeout(300)
async def test_the_python_client_is_strictly_typed_and_does_what_a_user_needs(
    python_client: Path, service: Service, receiver: Receiver, admin_key: str
) -> None:
    shutil.copy(JOURNEYS / "journey.py", python_client)
    (python_client / "guide.py").write_text(program("python"), encoding="utf-8")
    strictly = ("-m", "mypy", "--strict", "--config-file=", "--cache-dir=.mypy_cache", ".")
    await run(sys.executable, *strictly, folder=python_client)
    printed = await run(
        sys.executable,
        "journey.py",
        folder=python_client,
        **surroundings(service, receiver, admin_key),
    )
    assert json.loads(printed) == SEEN
    assert {request.headers["user-agent"][:9] for request in receiver.requests} == {"Hookline/"}


@pytest.mark.timeout(300)
async def test_the_typescript_client_is_strictly_typed_and_does_what_a_user_needs(
    typescript_client: Path, service: Service, receiver: Receiver, admin_key: str
) -> None:
    shutil.copy(JOURNEYS / "journey.ts", typescript_client)
    (typescript_client / "guide.ts").write_text(program("ts"), encoding="utf-8")
    compiled = await asyncio.to_thread(compile_typescript, typescript_client)
    printed = await run(
        NODE,
        compiled / "journey.js",
        folder=typescript_client,
        **surroundings(service, receiver, admin_key),
    )
    assert json.loads(printed) == SEEN


def test_no_name_in_a_client_is_made_up_by_its_generator(python_client: Path) -> None:
    modules = {path.stem for path in (python_client / "hookline_client/models").glob("*.py")}
    assert {name for name in modules if "_type_" in name or name.startswith("body_")} == {
        "event_type_description"
    }


@pytest.mark.parametrize("vague", [": any", "<any", "any[]", "as any"])
def test_nothing_in_the_typescript_client_is_any(typescript_client: Path, vague: str) -> None:
    types = (typescript_client / "client" / "types.gen.ts").read_text(encoding="utf-8")
    code = [line for line in types.splitlines() if not line.lstrip().startswith("*")]
    assert not [line for line in code if vague in line]
