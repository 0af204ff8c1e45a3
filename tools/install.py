"""Runs an installer: says what it installs, every 15 seconds how far it is, and why it failed.

    python tools/install.py WHAT COMMAND [ARGUMENT …]

Its output is kept until it ends, since two of them may run side by side. `npm ci` is to log each
answer of the registry (`--loglevel=http`): so the packages can be counted, and it is ended where
nothing comes for two minutes. By itself it goes on for many minutes without a word.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

TOLD_EVERY = 15.0  # seconds
PATIENCE = 120.0  # seconds without an answer of the registry
LAST_LINES = 12  # of what a failed installer printed
LOCK = Path("package-lock.json")
NOISE = re.compile(rb"^(npm http |added \d+ packages).*\n?", re.MULTILINE)
PACKAGE = re.compile(rb"^npm http \w+ .*\.tgz ", re.MULTILINE)
CAUSES = {
    "the registry's certificate is not trusted here. Where a proxy looks into TLS, add its "
    "authority to the system's, or name its file in PIP_CERT and NODE_EXTRA_CA_CERTS": (
        *("CERTIFICATE_VERIFY_FAILED", "SELF_SIGNED", "UNABLE_TO_", "certificate"),
    ),
    "there is no space left on the disk": ("ENOSPC", "No space left", "EDQUOT"),
    "a folder may not be written to": ("EACCES", "EROFS", "Permission denied", "Read-only"),
    "the registry has other files than are locked": ("DO NOT MATCH THE HASHES", "EINTEGRITY"),
    "the registry can't be reached. Look at the network, or name a mirror in PIP_INDEX_URL "
    "and NPM_CONFIG_REGISTRY": (
        *("ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "TIMEDOUT", "TIMEOUT"),
        *("NewConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError"),
        *("Max retries", "Name or service not known", "network"),
    ),
}


def main(what: str, *command: str) -> int:
    """Run the command; return its exit code, or 1 where it was ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say(f"Installing {what}")
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            stalled = not wait(process, what, output)
        except KeyboardInterrupt:  # Ctrl-C, or make's SIGTERM
            end(process)
            return 130
        printed = NOISE.sub(b"", everything(output)).decode(errors="replace").strip()
    if process.returncode != 0:
        printed = "\n".join(printed.splitlines()[-LAST_LINES:])
    if printed:
        say(printed)
    if process.returncode == 0:
        return 0
    seconds = f"nothing came from the registry for {PATIENCE:.0f} s: it is away or too slow"
    say(f"NOT installed: {what}: {seconds if stalled else cause(printed)}.")
    return process.returncode if process.returncode > 0 else 1


def wait(process: "subprocess.Popen[bytes]", what: str, output: BinaryIO) -> bool:
    """Wait for the end, telling how far it is; return False where it stalled and was ended."""
    count = len(json.loads(LOCK.read_bytes())["packages"]) - 1 if LOCK.exists() else 0
    started = grew = time.monotonic()
    size = 0
    while True:
        try:
            process.wait(TOLD_EVERY)
        except subprocess.TimeoutExpired:
            now, text = time.monotonic(), everything(output)
            if len(text) > size:
                size, grew = len(text), now
            fetched = f"{len(PACKAGE.findall(text))} of some {count} packages, " if count else ""
            say(f"  … {what}: {fetched}{now - started:.0f} s")
            if count and now - grew >= PATIENCE:
                end(process)
                return False
        else:
            return True


def everything(output: BinaryIO) -> bytes:
    """Return all that the installer has printed, and leave its place in the file alone."""
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End the installer and what it started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cause(printed: str) -> str:
    """Return what went wrong, as far as the output tells."""
    return next(
        (sentence for sentence, signs in CAUSES.items() if any(sign in printed for sign in signs)),
        "what the installer said is above",
    )


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
