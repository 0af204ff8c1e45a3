"""Runs programs that use generated clients against a service."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest

from support.receivers import Receiver
from support.service import Service

JOURNEYS: Final = Path(__file__).parents[1] / "clients" / "journeys"
_GUIDE: Final = Path(__file__).parents[2] / "docs" / "clients.md"
_PATIENCE: Final = 250.0  # seconds; each takes about two

SEEN: Final[dict[str, Any]] = {  # Any: a JSON document
    "key": "admin",
    "groups": ["call", "conference", "chat", "analytics", "presence", "sms", "service"],
    "accessKeyId": "MPLE",
    "wrong": ["transmission.url", "events.call[0]"],
    "pages": [["Warehouse"], ["CRM"]],
    "searched": ["Warehouse"],
    "secrets": {"shownOnce": True, "replaced": True, "oldSignsAlong": True},
    "batch": ["accepted", "duplicate", "invalid: /problems/invalid-input"],
    "test": ["delivered", 200, "1"],
    "retried": {"status": "delivered", "attempts": ["delivered", "delivered"], "listed": True},
    "changed": [False, 5, "manual", "/problems/stale"],
    "after": [204, 404, "/problems/not-found"],
    "pbx": ["000000000002", "x-bees", 7],
}
"""What every journey prints, in whichever language."""

ADMINISTRATION: Final[dict[str, Any]] = {  # Any: a JSON document
    "keys": {
        "opened": 0,
        "revoked": 204,
        "then": "/problems/not-authenticated",
        "listed": ["Session"],
    },
    "types": {
        "unknown": [["call", 1]],
        "added": ["call", "Parked", "json", False],
        "listed": ["call:live:parked"],
        "deleted": 204,
    },
    "system": {"api": True, "current": True, "pending": 0, "oldestDue": None},
    "replays": [0, 0, 204],
    "erasures": ["000000000009", "nobody", True],
}
"""What an administrator's journey prints."""

READS: Final[dict[str, Any]] = {  # Any: a JSON document
    "reads": {
        "secret": 32,
        "events": ["two", "one"],
        "statistics": [True, True, True],
        "filter": [0, "type"],
        "pbxs": [["000000000002"], "it_w000001", 204],
        "health": ["alive", "ready", True],
    },
}
"""What the compiled journeys print of the calls that only read, and of a PBX that they delete."""


def program(heading: str, fence: str) -> str:
    """Return the guide's only program in a language below a heading."""
    section = _GUIDE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].split("\n## ")[0]
    [found] = re.findall(rf"^```{fence}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return str(found)


def skip_without(language: str, missing: list[str]) -> None:
    """Skip a test, with a reason that stands out, where programs of a language are missing."""
    if missing:
        pytest.skip(f"{language} client NOT run: {' and '.join(missing)} not installed here")


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
        async with asyncio.timeout(_PATIENCE):
            printed, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (printed + complaints).decode()
    return printed.decode()


def surroundings(service: Service, receiver: Receiver, key: str) -> dict[str, str]:
    """Return the environment of a program: the service, a key of it, and where events are to go."""
    target = f"http://127.0.0.1:{receiver.port}/hook"
    return {"HOOKLINE": service.url, "KEY": key, "TARGET": target}
