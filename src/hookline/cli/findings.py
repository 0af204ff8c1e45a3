"""What a check of `hookline doctor` found, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # the service works, for now or in part
    FAILED = "failed"  # the service does not start, or not do its work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says how to mend it."""

    name: str
    status: Status
    detail: str
    advice: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it keeps the service from its work."""
        return self.status is Status.FAILED

    def document(self) -> dict[str, str | None]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "status": self.status.value,
            "detail": self.detail,
            "advice": self.advice,
        }


def ok(name: str, detail: str) -> Finding:
    """Return that something is well."""
    return Finding(name, Status.OK, detail)


def warning(name: str, detail: str, advice: str) -> Finding:
    """Return that something is not as it should be, and that the service works all the same."""
    return Finding(name, Status.WARNING, detail, advice)


def failed(name: str, detail: str, advice: str) -> Finding:
    """Return that something keeps the service from its work."""
    return Finding(name, Status.FAILED, detail, advice)
