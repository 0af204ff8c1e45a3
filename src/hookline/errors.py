"""Everything Hookline raises on purpose, in one tree.

HooklineError
├── ConfigurationError      settings or surroundings that the start cannot live with
│   └── EmbeddedPostgresError   the bundled Postgres cannot be prepared, started or shared
├── InvalidInput            fields that are wrong, each with its path
├── MalformedBody           a body that is not the JSON it should be
├── UnsupportedBody         a body of another type than JSON, or a compressed one
├── TooLarge                a body, batch or document over its bound
├── NotAuthenticated        no key, or one that is not known, expired or revoked
├── Forbidden               a known key that may not do this
├── NotFound                no such object, or one of another tenant
├── Conflict                the object is in a state that forbids this
│   └── PreconditionFailed  If-Match names a version that is no longer current
├── Overloaded              a bound is reached; come again later
│   └── QuotaExceeded           one that is some tenants' own, so that others are not refused
├── Unavailable             the database is away; come again later
└── DecryptionFailed        an encrypted secret that cannot be decrypted here

Each carries one sentence that a person can act on. What becomes which status is said in
api/problems.py alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NO_SUCH_ADDRESS: Final = (
    "There is nothing at this address. The API's begin with /v1/ and have no slash at the end; "
    "/docs lists them."
)
"""The sentence of a path that no route has; operators' commands tell it from a missing object."""


class HooklineError(Exception):
    """The root: `str(error)` is a sentence for the person who has to act."""


class ConfigurationError(HooklineError):
    """The settings, or the machine, do not allow a start; the sentence says what to change."""


class EmbeddedPostgresError(ConfigurationError):
    """The bundled Postgres cannot be prepared, started or shared."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field: its path from the document's root, and what to do about it."""

    path: str
    message: str


class InvalidInput(HooklineError):
    """One or more fields are wrong; `fields` names every one of them."""

    def __init__(self, *fields: FieldProblem) -> None:
        super().__init__("; ".join(f"{f.path}: {f.message}" for f in fields))
        self.fields = fields


class MalformedBody(HooklineError):
    """The body is not the JSON document it should be."""


class UnsupportedBody(HooklineError):
    """The body is of another type than JSON, or it is compressed."""


class TooLarge(HooklineError):
    """A body, a batch or a document is over its bound; the sentence names the bound."""


class NotAuthenticated(HooklineError):
    """No key was given, or it is not known, expired or revoked."""


class Forbidden(HooklineError):
    """The key is known and may not do this."""


class NotFound(HooklineError):
    """There is no such object, or it is another tenant's, which looks the same."""


class Conflict(HooklineError):
    """The object's state forbids what was asked."""


class PreconditionFailed(Conflict):
    """If-Match names a version that is no longer the current one."""


class Overloaded(HooklineError):
    """A bound is reached; the same request may succeed after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(Overloaded):
    """Some tenants have as much waiting as they may; events of others would have been taken.

    `refused` says why for each event that was not, by its position among those handed in.
    """

    def __init__(self, refused: Mapping[int, Overloaded]) -> None:
        first = next(iter(refused.values()))
        super().__init__(str(first), retry_after=first.retry_after)
        self.refused = refused


class Unavailable(HooklineError):
    """The database is away; the same request may succeed after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DecryptionFailed(HooklineError):
    """An encrypted secret cannot be decrypted: another key ring, another row, or damaged bytes."""


def forget_tracebacks(error: BaseException | None) -> None:
    """Let go of what failed once an error is dealt with: the request or response in its hands.

    A traceback keeps frames alive, and where one of those names the error, as FastAPI's and
    botocore's do, only the garbage collector would find them: it counts objects, and not how large
    they are.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
