"""`hookline serve` and `hookline worker`: the service, until a signal."""

import asyncio
import gc
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.background import Tasks
from hookline.cli import terminal
from hookline.memory import return_large_buffers
from hookline.server.server import allow_many_sockets

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from hookline.server.connections import ConnectionLimits
    from hookline.server.signals import Stopping
    from hookline.settings import Settings, StartSecrets
    from hookline.tracing import Tracing

_CONSOLE = Path(__file__).parents[1] / "console" / "index.html"  # what its build left


def serve(
    *,
    engine: Annotated[
        bool, typer.Option("--engine/--no-engine", help="Deliver too, or only take requests.")
    ] = True,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes on the port, each with an engine.")
    ] = 1,
    worker_process: Annotated[bool, typer.Option("--worker-process", hidden=True)] = False,
    metrics_file: Annotated[Path | None, typer.Option("--metrics-file", hidden=True)] = None,
    peer_socket: Annotated[Path | None, typer.Option("--peer-socket", hidden=True)] = None,
) -> None:
    """Run the API and, unless told otherwise, the delivery engine."""
    from hookline.server.server import listener  # noqa: PLC0415
    from hookline.server.signals import run_until_stopped  # noqa: PLC0415
    from hookline.settings import load_settings, start_secrets  # noqa: PLC0415

    settings = load_settings()
    _prepare(settings)
    taken = listener(
        settings.host,
        settings.port,
        advice="stop what is there, or set HOOKLINE_PORT to another.",
        shared=worker_process,
    )
    with taken:
        run = _Run(
            settings,
            start_secrets(settings),
            taken,
            engine,
            worker_process,
            metrics_file,
            peer_socket,
            processes,
        )
        if processes > 1 and not worker_process:
            sys.exit(run_until_stopped(lambda stopping: _serve_many(run, stopping)))
        sys.exit(run_until_stopped(lambda stopping: _serve(run, stopping)))


def worker() -> None:
    """Run the delivery engine alone, beside `serve --no-engine` processes.

    With HOOKLINE_WORKER_PORT it answers /metrics, /livez and /readyz there.
    """
    from hookline.server.server import listener  # noqa: PLC0415
    from hookline.server.signals import run_until_stopped  # noqa: PLC0415
    from hookline.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    _prepare(settings)
    if settings.worker_port is None:
        sys.exit(run_until_stopped(lambda stopping: _work(settings, None, stopping)))
    advice = "stop what is there, or set HOOKLINE_WORKER_PORT to another."
    with listener(settings.host, settings.worker_port, advice=advice) as taken:
        sys.exit(run_until_stopped(lambda stopping: _work(settings, taken, stopping)))


async def _serve(run: "_Run", stopping: "Stopping") -> None:
    gc.disable()  # until the start is over: what it imports and makes is not garbage
    from hookline.metrics.multiprocess import leave  # noqa: PLC0415
    from hookline.server.processes import until_orphaned  # noqa: PLC0415
    from hookline.server.server import answer  # noqa: PLC0415

    tracing = _tracing(run.settings)
    application = _application(run, tracing)
    orphaned = asyncio.Event()

    def stop_as_orphan() -> None:
        orphaned.set()
        stopping.on_signal()

    # Not left to uvicorn, which turns a start's sentence into a traceback.
    async with (
        _closing(tracing),
        application.router.lifespan_context(application),
        AsyncExitStack() as stack,
    ):
        if run.worker_process:
            watch = Tasks(essential=True)
            watch.start(until_orphaned(stop_as_orphan), "parent-watch")
            stack.push_async_callback(watch.aclose)
        await answer(
            application,
            run.taken,
            stopping,
            grace=run.settings.shutdown_grace,
            when_started=partial(_announce, run),
            when_stopping=application.state.services.streams.stop,
            limits=_limits(run.settings),
        )
    if run.metrics_file is not None and orphaned.is_set():
        leave(run.metrics_file)


def _application(run: "_Run", tracing: "Tracing | None") -> "FastAPI":
    from hookline.app import create_app  # noqa: PLC0415
    from hookline.runtime import open_runtime  # noqa: PLC0415

    return create_app(
        lambda: open_runtime(
            run.settings,
            engine=run.engine,
            metrics_file=run.metrics_file,
            peer_socket=run.peer_socket,
            processes=run.processes,
            tracing=tracing,
        ),
        cors_origins=run.settings.cors_origins,
        tracing=tracing,
    )


def _announce(run: "_Run") -> None:
    """Say that the service answers: a worker process to its parent, every other one to people."""
    from hookline.server.processes import READY  # noqa: PLC0415

    _settle_memory()
    if run.worker_process:
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
    else:
        terminal.panel("Hookline is running", run.facts())


def _tracing(settings: "Settings") -> "Tracing | None":
    if not settings.traces:
        return None
    from hookline.tracing import open_tracing  # noqa: PLC0415

    return open_tracing()


@asynccontextmanager
async def _closing(tracing: "Tracing | None") -> "AsyncIterator[None]":
    """Send what is left of traces once nothing is under way any more."""
    try:
        yield
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


def _limits(settings: "Settings") -> "ConnectionLimits":
    from hookline.server.connections import ConnectionLimits  # noqa: PLC0415

    return ConnectionLimits(
        most=settings.max_connections,
        most_unknown=settings.max_connections_per_address,
        keep_alive=settings.keep_alive_timeout,
        proxies=settings.trusted_proxies,
        origins=settings.cors_origins,
    )


async def _serve_many(run: "_Run", stopping: "Stopping") -> None:
    from hookline.server.processes import worker_processes  # noqa: PLC0415
    from hookline.server.server import shared_port  # noqa: PLC0415

    address, port = run.facts(), run.taken.getsockname()[1]
    with shared_port(run.taken):
        async with worker_processes(
            run.settings, run.secrets, size=run.processes, port=port, engine=run.engine
        ) as workers:
            await workers.run(
                stopping,
                lambda: terminal.panel(
                    f"Hookline is running in {run.processes} processes", address
                ),
            )


async def _work(settings: "Settings", taken: "socket.socket | None", stopping: "Stopping") -> None:
    gc.disable()  # as above
    from hookline.app import create_monitoring_app  # noqa: PLC0415
    from hookline.runtime import open_runtime  # noqa: PLC0415
    from hookline.server.server import address_of, answer  # noqa: PLC0415

    tracing = _tracing(settings)
    monitoring = create_monitoring_app(
        lambda: open_runtime(settings, engine=True, api=False, tracing=tracing)
    )

    def announce() -> None:
        _settle_memory()
        where = "" if taken is None else f" {address_of(taken)}/metrics tells how it does."
        terminal.say(f"Hookline's delivery engine is running.{where}")

    async with _closing(tracing), monitoring.router.lifespan_context(monitoring):
        if taken is None:
            asked = asyncio.Event()
            stopping.asks(asked.set)
            announce()
            await asked.wait()
        else:
            grace = settings.shutdown_grace
            await answer(
                monitoring,
                taken,
                stopping,
                grace=grace,
                when_started=announce,
                limits=_limits(settings),
            )


@dataclass(frozen=True, slots=True)
class _Run:
    """What one start of `serve` works with; a worker process is one of several on a port."""

    settings: "Settings"
    secrets: "StartSecrets"
    taken: "socket.socket"
    engine: bool
    worker_process: bool
    metrics_file: Path | None  # of a worker process: where it leaves its numbers
    peer_socket: Path | None  # and where the others hand it deliveries
    processes: int  # of this service, on this machine

    def facts(self) -> list[tuple[str, str]]:
        """List what a person needs first; the admin key only on the start that made it."""
        from hookline.server.server import address_of  # noqa: PLC0415
        from hookline.settings import ADMIN_KEY_FILE  # noqa: PLC0415

        address = address_of(self.taken)
        facts = [
            ("API", f"{address}/v1"),
            ("Console", f"{address}/console/" if _CONSOLE.is_file() else "not built: make console"),
            ("Docs", f"{address}/docs"),
        ]
        kept = self.settings.data_dir / ADMIN_KEY_FILE
        if self.secrets.admin_key_is_new:
            facts.append(("Admin key", self.secrets.admin_key.get_secret_value()))
            facts.append(("", f"shown this once; kept in {kept}"))
            facts.append(("Next", "sign in to the console with it, or go on with README.md"))
        elif self.settings.admin_key is None:
            facts.append(("Admin key", f"in {kept}"))
        return facts


def _settle_memory() -> None:
    """Keep the collector from walking what lives as long as the process, again and again.

    What an event allocates is freed by its reference counts; few cycles are left to find.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _prepare(settings: "Settings") -> None:
    _log(settings)
    allow_many_sockets()
    return_large_buffers()


def _log(settings: "Settings") -> None:
    from hookline import logs  # noqa: PLC0415

    console = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    logs.configure(level=settings.log_level, console=console)
