"""What the README claims, held to the code."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from hookline.security.signatures import x_signature
from support import node
from support.readme import README, ROOT, SETTINGS, code_blocks, with_settings

SECRET = "abcdefghijABCDEFGHIJ0123456789xy"
BODY = '{"id":"call-1","a":"é😀\u2028","n":1e+21}'.encode()
SIGNATURE = x_signature(SECRET, BODY)

Verifier = Callable[[bytes, str, str], bool]


def in_python(body: bytes, signature: str, secret: str) -> bool:
    [code] = code_blocks("python", under="Verify a signature")
    space: dict[str, Any] = {}
    exec(code, space)  # noqa: S102  our own README
    return bool(space["is_genuine"](body, signature, secret))


def in_node(body: bytes, signature: str, secret: str) -> bool:
    [code] = code_blocks("js", under="Verify a signature")
    arguments = f"Buffer.from('{body.hex()}', 'hex'), {json.dumps(signature)}, {json.dumps(secret)}"
    return bool(json.loads(node.run(f"{code}\nconsole.log(isGenuine({arguments}));")))


@pytest.mark.parametrize("verifier", [in_python, in_node])
@pytest.mark.parametrize(
    ("body", "signature", "secret", "genuine"),
    [
        (BODY, SIGNATURE, SECRET, True),
        (BODY + b" ", SIGNATURE, SECRET, False),
        (BODY, SIGNATURE, SECRET.swapcase(), False),
        (BODY, SIGNATURE.upper(), SECRET, False),
        (BODY, SIGNATURE[:-1], SECRET, False),
        (BODY, f"{SIGNATURE}0", SECRET, False),
        (BODY, "", SECRET, False),
        (BODY, "é" * 64, SECRET, False),
    ],
)
def test_the_examples_tell_what_is_genuine(
    verifier: Verifier, body: bytes, signature: str, secret: str, *, genuine: bool
) -> None:
    assert verifier(body, signature, secret) is genuine


def test_the_settings_are_those_that_there_are() -> None:
    text = SETTINGS.read_text(encoding="utf-8")

    assert text == with_settings(text), "docs/settings.md is stale: make format"


def test_the_comparison_has_the_measured_figures() -> None:
    readme = README.read_text(encoding="utf-8")
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    [row] = re.findall(r"^\| single: accepted and delivered /s \|(.*)\|$", results, re.MULTILINE)
    ours, _, svix, outpost = (figure.strip() for figure in row.split("|"))

    assert f"{ours} events a second" in readme
    assert f"against {svix} of Svix and {outpost} of Outpost" in readme
