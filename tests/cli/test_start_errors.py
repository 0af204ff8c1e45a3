"""What keeps a command from starting: one sentence, exit code 1, no traceback and no secret."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.terminal import Terminal

AWAY = "postgresql://u:marked@127.0.0.1:1/d"
KEYS = "A" * 43 + "="


@dataclass(frozen=True)
class Start:
    """A command that cannot start, and a part of the sentence that says why."""

    says: str
    command: tuple[str, ...] = ("serve",)
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


STARTS = {
    "a file for a directory": Start(
        "Not a directory", settings={"DATA_DIR": "{here}/a"}, files={"a": b""}
    ),
    "no directory can be there": Start("HOOKLINE_DATA_DIR", settings={"DATA_DIR": "/proc/none"}),
    "a damaged admin key": Start("admin.key holds no API key", files={"data/admin.key": b"marked"}),
    "an empty admin key": Start("is empty; restore it", files={"data/admin.key": b"\n"}),
    "an admin key of other bytes": Start("not ASCII", files={"data/admin.key": b"\xff"}),
    "damaged encryption keys": Start(
        "restore it from a backup", files={"data/encryption.keys": b"marked"}
    ),
    "a host that is none": Start("address of this machine", settings={"HOST": "no host"}),
    "another machine's address": Start("address of this machine", settings={"HOST": "192.0.2.7"}),
    "a port that is taken": Start("set HOOKLINE_PORT", settings={"PORT": "{taken}"}),
    "a worker's port that is taken": Start(
        "set HOOKLINE_WORKER_PORT", ("worker",), {"WORKER_PORT": "{taken}"}
    ),
    "a port that is no number": Start("HOOKLINE_PORT", settings={"PORT": "http"}),
    "a link of Kubernetes": Start("enableServiceLinks", settings={"PORT": "tcp://10.0.0.1:80"}),
    "an origin with a path": Start("like https://pbx", settings={"CORS_ORIGINS": "https://a/b"}),
    "every origin": Start("like https://pbx", settings={"CORS_ORIGINS": "*"}),
    "an endpoint without a host": Start("a host", settings={"SQS_ENDPOINT_URL": "http://"}),
    "an endpoint that is none": Start("a host", settings={"SQS_ENDPOINT_URL": "http://[marked"}),
    "a proxy of another kind": Start("http://", settings={"EGRESS_PROXY": "ftp://u:marked@a"}),
    "a proxy's impossible port": Start(
        "a host", settings={"EGRESS_PROXY": "http://u:marked@a:99999"}
    ),
    "authorities that are no file": Start(
        "is not a file", settings={"EGRESS_CA_FILE": "{here}/none"}
    ),
    "a short encryption key": Start(
        "Key 1 of HOOKLINE_ENCRYPTION_KEYS",
        settings={"DATABASE_URL": AWAY, "ENCRYPTION_KEYS": "marked"},
    ),
    "a database without its keys": Start("openssl rand", settings={"DATABASE_URL": AWAY}),
    "a database that is away": Start(
        "cannot be reached", ("keys", "list"), {"DATABASE_URL": AWAY, "ENCRYPTION_KEYS": KEYS}
    ),
    "a setting that is none": Start("HOOKLINE_PORT?", settings={"PROT": "marked"}),
    "no place for a file": Start("cannot be written", ("openapi", "-o", "{here}/none/a")),
    "another machine's to listen on": Start(
        "address of this machine", ("listen", "--host", "192.0.2.7")
    ),
}


@pytest.mark.parametrize("name", STARTS)
async def test_a_start_that_cannot_be_is_one_sentence(tmp_path: Path, name: str) -> None:
    start = STARTS[name]
    for path, content in start.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    terminal = Terminal(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        known = {"here": tmp_path, "taken": taken.getsockname()[1]}
        arguments = [each.format(**known) for each in start.command]
        settings = {name: value.format(**known) for name, value in start.settings.items()}
        code, out, err = await terminal.run(*arguments, **settings)
    assert (code, out) == (1, "")
    assert start.says in err
    assert err.startswith("hookline: ")
    assert err.count("\n") == 1
    assert "marked" not in err
