"""What the database's errors mean: unavailable, busy, or a sentence for the operator.

Unavailable: not reached, starting, stopping, letting nobody in, full or read-only. Busy: it ended
this statement or transaction for another's sake, or for its length; nothing of it was done. Both
are to be tried again, and a caller is told which it was. Every command that opens a database does
so inside `explained`, and none of them ends in a traceback for what an operator can put right.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import asyncpg
import tenacity
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from hookline.db.address import parse
from hookline.errors import ConfigurationError, HooklineError, Unavailable
from hookline.logs import get_logger


class LoginRefused(ConnectionError):
    """Postgres answers, and opens no session: raised from its error, which says why.

    Its role has another password now or may not log in, or its database is closed or has gone.
    """


CONNECTION_LOST = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a session's end in the middle of something looks like
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""What it raises where a session ends in the middle of a statement, which may have been done."""

AWAY = (
    *CONNECTION_LOST,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,  # its disk reads or writes nothing
)
"""What asyncpg raises while Postgres is away, refusing, read-only or full."""

BUSY = (
    asyncpg.TransactionRollbackError,  # a deadlock, or a conflict that isolation does not allow
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What it raises where it answers, and this statement took too long or was in another's way."""

_FROM_ASYNCPG = tuple(kind for kind in AWAY if kind.__module__.startswith(asyncpg.__name__)) + BUSY
_LOGIN_FILES = ("postgresql.crt", "postgresql.key", "root.crt", "root.crl")
_TRIES = 5  # of a transaction that was rolled back for another's sake
_LOG = get_logger(__name__)

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")


@contextmanager
def explained(dsn: str) -> Iterator[None]:
    """Raise ConfigurationError or Unavailable, with a sentence, for whatever the database does."""
    try:
        yield
    except HooklineError:
        raise
    except Exception as error:
        told = _explanation(dsn, error)
        if told is None:
            raise
        raise told from error


@contextmanager
def unavailable_when_away() -> Iterator[None]:
    """Raise Unavailable where what is done inside fails because Postgres is away or busy."""
    try:
        yield
    except (SQLAlchemyError, *AWAY, *BUSY) as error:
        if means_away(error):
            raise unavailable(error) from error
        raise


def unavailable(error: BaseException) -> Unavailable:
    """Return what to raise for an error that means: come again later. Why is logged, if it says."""
    causes = tuple(_causes(error))
    if any(isinstance(cause, LoginRefused) for cause in causes):
        _LOG.warning("database.login_refused", reason=first_line(database_error(error)))
    busy = next((cause for cause in causes if isinstance(cause, BUSY)), None)
    if busy is None:
        return Unavailable("The database is away; nothing was lost. Try again.")
    _LOG.warning("database.busy", error=type(busy).__name__, reason=first_line(busy))
    return Unavailable("The database took too long for this and did nothing of it. Try again.")


async def rerun_when_rolled_back(call: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Return what `call` returns; where Postgres rolled it back for another's sake, do it again."""
    try:  # most often nothing was in the way
        return await call()
    except Exception as error:
        if not _was_rolled_back(error):
            raise

    async def attempt() -> ResultT:  # tenacity awaits only what is a coroutine function itself
        return await call()

    return await tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(_was_rolled_back),
        stop=tenacity.stop_after_attempt(_TRIES - 1),
        wait=tenacity.wait_random_exponential(multiplier=0.01, max=0.5),
        reraise=True,
    )(attempt)


def rerunnable(
    method: Callable[ParamsT, Coroutine[Any, Any, ResultT]],
) -> Callable[ParamsT, Coroutine[Any, Any, ResultT]]:
    """Have a method done again, as a whole, where Postgres rolled its transaction back.

    It opens one transaction at the most, and changes nothing else before that is committed.
    """

    @wraps(method)
    async def rerun(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> ResultT:
        return await rerun_when_rolled_back(lambda: method(*args, **kwargs))

    return rerun


async def once_back(call: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Return what `call` returns, trying again for as long as it raises Unavailable.

    Tries again at once, then waits up to two seconds between tries, at random, so that many waiters
    do not return at once.
    Ends early only by cancellation; any other error is raised as it is.
    """
    with suppress(Unavailable):  # most often nothing is away, and nothing else is needed
        return await call()

    async def attempt() -> ResultT:  # tenacity awaits only what is a coroutine function itself
        return await call()

    return await tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(Unavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
    )(attempt)


def means_away(error: BaseException) -> bool:
    """Tell whether this error, raised by a statement or while connecting, says: come again later.

    To be asked about errors from database code only: a bare OSError counts.
    """
    return isinstance(error, (*AWAY, *BUSY)) or comes_from_away_database(error)


def comes_from_away_database(error: BaseException) -> bool:
    """Tell the same of an error from anywhere: only what a database library raised counts."""
    if isinstance(error, (PoolTimeout, *_FROM_ASYNCPG)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    return any(isinstance(cause, (*AWAY, *BUSY)) for cause in _causes(error))


def database_error(error: BaseException) -> BaseException:
    """Return what asyncpg raised, from under SQLAlchemy's wrapping; else the error itself."""
    return next((each for each in _causes(error) if isinstance(each, asyncpg.PostgresError)), error)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its kind where it has none."""
    return str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__


def _was_rolled_back(error: BaseException) -> bool:
    """Tell whether this error, or what became Unavailable, is Postgres choosing another's side."""
    reason = error.__cause__ if isinstance(error, Unavailable) and error.__cause__ else error
    return any(isinstance(cause, asyncpg.TransactionRollbackError) for cause in _causes(reason))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error, and what SQLAlchemy and its adapter for asyncpg wrapped in it."""
    yield error
    if isinstance(error, LoginRefused) and error.__cause__ is not None:
        yield error.__cause__
    if isinstance(error, DBAPIError) and error.orig is not None:
        yield error.orig
        if error.orig.__cause__ is not None:
            yield error.orig.__cause__


def _explanation(dsn: str, error: Exception) -> HooklineError | None:
    cause = database_error(error)
    match cause:
        case asyncpg.InsufficientPrivilegeError():
            return ConfigurationError(
                f"The database does not let this role do what Hookline needs: {first_line(cause)}."
                " Give it the database, or the rights of the role that owns Hookline's tables."
            )
        case (
            asyncpg.InvalidAuthorizationSpecificationError()
            | asyncpg.InvalidCatalogNameError()
            | asyncpg.ProtocolViolationError()
            | asyncpg.UndefinedObjectError()
            | asyncpg.InvalidParameterValueError()
            | asyncpg.CantChangeRuntimeParamError()
        ):
            return ConfigurationError(
                f"The database refuses what HOOKLINE_DATABASE_URL says: {first_line(cause)}."
            )
        case OSError():
            return _of_the_network(dsn, cause)
        case _ if means_away(error):
            return Unavailable(f"The database cannot be reached: {first_line(cause)}.")
        case asyncpg.PostgresError() | DBAPIError():
            return ConfigurationError(f"The database refuses: {first_line(cause)}.")
    return None


def _of_the_network(dsn: str, error: OSError) -> HooklineError:
    if (in_the_way := _file_in_the_way(dsn)) and not isinstance(error, ConnectionError):
        return ConfigurationError(f"The database cannot be reached: {in_the_way}.")
    match error:
        case ssl.SSLCertVerificationError():
            why = f"its TLS certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            why = f"TLS with it fails ({error.reason or first_line(error)})"
        case socket.gaierror():
            why = "the name of its host is not known"
        case ConnectionRefusedError():
            why = "nothing listens there, the connection is refused"
        case TimeoutError():
            why = f"it does not answer within {parse(dsn).connect_timeout:g} s"
        case FileNotFoundError():
            why = "there is no socket of a server"
        case ConnectionError() if "SSL" in str(error):
            why = "it does not speak TLS, which sslmode demands"
        case _:
            why = error.strerror or first_line(error)
    return Unavailable(f"The database cannot be reached: {why}.")


def _file_in_the_way(dsn: str) -> str | None:
    """Say which file for TLS or passwords is there, or is named, and cannot be read."""
    for name, file in parse(dsn).files.items():
        if trouble := _trouble_with(Path(file)):
            return f"{name} names {file}, which cannot be read ({trouble.strerror})"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    for path in (home / ".pgpass", *(home / ".postgresql" / name for name in _LOGIN_FILES)):
        trouble = _trouble_with(path)
        if trouble and not isinstance(trouble, (FileNotFoundError, NotADirectoryError)):
            return (
                f"{path} cannot be read ({trouble.strerror}); make it readable for this user, or"
                " set HOME to a directory that is"
            )
    return None


def _trouble_with(path: Path) -> OSError | None:
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return error
