"""Node.js as the judge: one process that answers JSON.stringify(JSON.parse(text)), line by line."""

import json
import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

import pytest

_SCRIPT = """
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  let answer;
  try {
    answer = { out: JSON.stringify(JSON.parse(JSON.parse(line))) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\\n");
});
"""


def node_is_here() -> bool:
    return shutil.which("node") is not None


def needs_node(purpose: str) -> None:
    """Skip the test where there is no Node.js, and say so; fail where a CI run forgot it."""
    if node_is_here():
        return
    reason = f"Node.js is not on PATH: {purpose}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Node:
    """A long-lived Node process; `with Node() as node:` ends it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", "-e", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:
            self._process.kill()

    def round_trip(self, text: str) -> bytes | None:
        """Return what Node prints for a JSON text, or None where it refuses to parse it."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("Node has no pipes")
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        answer: dict[str, str] = json.loads(self._process.stdout.readline())
        return answer["out"].encode() if "out" in answer else None
