"""One wide JSON line per unit of work, through structlog, to standard error."""

import logging
import re
import sys
from io import StringIO
from typing import IO, Any, TextIO

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
# One list for good: loggers keep it after their first line, and structlog's capture changes it.
_PROCESSORS = [*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def configure(*, level: str = "INFO", console: bool = False, stream: IO[str] | None = None) -> None:
    """Send Hookline's and its libraries' log lines to `stream` (standard error by default).

    `console` prints for a person at a terminal; otherwise each line is one JSON object, whatever
    bytes its values hold.
    """
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            colors=False,
            repr_native_str=True,  # so that a value begins no line of its own
            exception_formatter=_write_traceback,  # structlog's print variables: secrets
        )
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    ending: list[structlog.typing.Processor] = (
        [_print_event, renderer, _print_line] if console else [_format_error, renderer]
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each URL, and URLs may hold keys
    # It logs a traceback for each try to connect to a database that is away; Hookline says it once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    for chatty in ("alembic", "botocore", "aiobotocore", "aioboto3", "asyncio", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )


_ROW = re.compile(
    r"\nDETAIL:.*?"
    r"(?=\n(?:HINT:|\[SQL:|\(Background on|\nThe above exception|\nDuring handling)|\Z)",
    re.DOTALL,
)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def _without_rows(traceback: str) -> str:
    """Take out the row that Postgres quotes in an error, with customers' URLs and names."""
    return _ROW.sub("", traceback)


def _write_traceback(lines: TextIO, error: structlog.typing.ExcInfo) -> None:
    text = StringIO()
    structlog.dev.plain_traceback(text, error)
    lines.write(_without_rows(text.getvalue()))


def _format_error(
    logger: structlog.typing.WrappedLogger, method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    line = structlog.processors.format_exc_info(logger, method, line)
    if "exception" in line:
        line["exception"] = _without_rows(line["exception"])
    return line


def _print_event(
    _logger: structlog.typing.WrappedLogger, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Keep what other libraries say on one line."""
    line["event"] = str(line["event"]).replace("\n", "\\n")
    return line


def _print_line(_logger: structlog.typing.WrappedLogger, _method: str, line: Any) -> str:  # noqa: ANN401 - what a renderer made
    """Send a terminal no commands."""
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", str(line))


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; events are named `thing.happened`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
