"""One wide JSON line per unit of work, through structlog, to standard error."""

import logging
import sys
from typing import IO

import structlog


def configure(*, level: str = "INFO", console: bool = False, stream: IO[str] | None = None) -> None:
    """Send Hookline's and its libraries' log lines to `stream` (standard error by default).

    `console` prints for a person at a terminal; otherwise each line is one JSON object, whatever
    bytes its values hold.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            colors=False,
            exception_formatter=structlog.dev.plain_traceback,  # others print variables: secrets
        )
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    ending = [renderer] if console else [structlog.processors.format_exc_info, renderer]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each URL, and URLs may hold keys
    for chatty in ("alembic", "botocore", "aiobotocore", "aioboto3", "asyncio", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; events are named `thing.happened`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
