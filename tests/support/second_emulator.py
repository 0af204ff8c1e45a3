"""An SQS emulator that is not moto: local-aws-sqs, an npm package, as a process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.node import NODE

_PACKAGES = Path(__file__).parents[2] / "openapi"
_PROGRAM = """
import { createServer } from "node:net";
import { createSqsServer } from "local-aws-sqs";
const probe = createServer().listen(0, "127.0.0.1", () => {
  const { port } = probe.address();
  probe.close(async () => {
    await createSqsServer({ port, hostname: "127.0.0.1" });
    console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }));
  });
});
"""


@contextmanager
def second_emulator() -> Iterator[str]:
    """Start it on a free port, give its URL once it answers, and end it with the block."""
    process = subprocess.Popen(
        [NODE, "--input-type=module", "-e", _PROGRAM],
        cwd=_PACKAGES,  # where npm's packages are found
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith('{"url"'):
                    break
            else:
                raise RuntimeError("local-aws-sqs did not start; run: make .venv/npm")
            yield str(json.loads(line)["url"])
        finally:
            process.kill()
