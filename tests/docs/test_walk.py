"""The walk of one event in docs/architecture.md, and the files that run for one."""

import re
import signal
from pathlib import Path

import httpx
import pytest

from factories import a_webhook, an_event
from hookline.domain.access import new_key
from hookline.security.secrets import generate_key
from support.api_client import Api
from support.databases import Databases
from support.receivers import receiving
from support.service import eventually
from support.terminal import Terminal

ROOT = Path(__file__).parents[2]
WAITING = {"cli/serve.py"}  # uvicorn's loop, which looks every 100 ms
HINTS = {"db/listener.py"}  # the notification of the integration's creation may come late
LOGGING = {"logs.py"}  # prints the line by which this test knows that the event is settled


def documented() -> tuple[set[str], int]:
    """Return the files that the walk links to, and how many it says that they are."""
    text = (ROOT / "docs/architecture.md").read_text()
    [section] = re.findall(r"^## The walk of one event\n(.*?)^\*\*", text, re.DOTALL | re.MULTILINE)
    [count] = re.findall(r"(\d+) files", section)
    return set(re.findall(r"\(\.\./src/hookline/([\w/]+\.py)\)", section)), int(count)


async def test_the_walk_names_each_file_that_runs_for_one_event(
    tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the second event: the first one opens connections, and starts what is made once."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    key, calls, terminal = new_key(), tmp_path / "calls", Terminal(tmp_path)

    async def is_written() -> bool:
        return calls.exists()

    async with databases.migrated() as dsn, receiving() as receiver:
        command = await terminal.start_module(
            *("support.calls", str(calls), "serve", "--processes", "1"),
            EGRESS_ALLOWED_NETWORKS="127.0.0.1/32",
            ADMIN_KEY=key,
            ENCRYPTION_KEYS=generate_key(),
            DATABASE_URL=dsn,
            LOG_LEVEL="DEBUG",
            POLL_INTERVAL="60",
        )
        url = str((await command.says(r"API +(http://127\.0\.0\.1:\d+)/v1"))[1])
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            api = Api(client, key)
            hook = f"http://127.0.0.1:{receiver.port}/hook"
            assert (await api.post("/v1/integrations", a_webhook(url=hook))).status_code == 201
            for number in range(2):
                calls.unlink(missing_ok=True)
                command.process.send_signal(signal.SIGUSR1)
                event = an_event(data={"number": number})
                assert (await api.post("/v1/events", event)).status_code == 202
                await command.complains(r"delivery\.settled")
                command.process.send_signal(signal.SIGUSR2)
                await eventually(is_written, bool)
        await terminal.close()
    files, count = documented()
    assert set(calls.read_text().split()) - WAITING - HINTS - LOGGING == files
    assert len(files) == count
