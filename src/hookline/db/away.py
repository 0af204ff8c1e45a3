"""Tells "Postgres is away" from a fault of ours, whichever library raised it."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from hookline.db.connections import AWAY
from hookline.errors import ConfigurationError, Unavailable

_FROM_ASYNCPG = tuple(kind for kind in AWAY if kind.__module__.startswith(asyncpg.__name__))


_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


@contextmanager
def refusal_explained() -> Iterator[None]:
    """Raise ConfigurationError where Postgres lets this user, password or database name not in."""
    try:
        yield
    except DBAPIError as error:
        refusal = _cause(error.orig)
        if not isinstance(refusal, _REFUSED):
            raise
        raise ConfigurationError(
            f"The database refuses what HOOKLINE_DATABASE_URL says: {refusal.args[0]}."
        ) from error


@contextmanager
def unavailable_when_away() -> Iterator[None]:
    """Raise Unavailable where what is done inside fails because Postgres is away."""
    try:
        yield
    except (SQLAlchemyError, *AWAY) as error:
        if means_away(error):
            raise Unavailable("The database is away; try again.") from error
        raise


def means_away(error: BaseException) -> bool:
    """Tell whether this error, raised by a statement or while connecting, says: come again later.

    To be asked about errors from database code only: a bare OSError counts.
    """
    return isinstance(error, AWAY) or comes_from_away_database(error)


def comes_from_away_database(error: BaseException) -> bool:
    """Tell the same of an error from anywhere: only what a database library raised counts."""
    if isinstance(error, (PoolTimeout, *_FROM_ASYNCPG)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    return any(isinstance(cause, AWAY) for cause in (error.orig, _cause(error.orig)))


def _cause(error: BaseException | None) -> BaseException | None:
    """Return what SQLAlchemy's adapter for asyncpg wrapped."""
    return None if error is None else error.__cause__
