"""Operators' commands, run in this process against a service."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from hookline.cli import app
from support.service import Service


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The tab-separated lines below the heading."""
        return [line.split("\t") for line in self.out.splitlines()[1:]]


Run = Callable[..., Awaitable[Ended]]


@dataclass(frozen=True, slots=True)
class There:
    """A server with one admin key."""

    service: Service
    key: str


async def invoked(*arguments: str, **env: str) -> Ended:
    """Run a command in this process, beside the event loop."""
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
