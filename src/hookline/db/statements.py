"""The SQL of the whole package: one file for each statement, named like the method that runs it."""

import re
from importlib.resources import files
from uuid import UUID

from sqlalchemy import TextClause, text

from hookline.db.partitions import partition_of

_NOTIFY = text("select pg_notify(:channel, :payload)")
_INCLUDE = re.compile(r"^-- include (\w+)(,?)\n", re.MULTILINE)


def statement(path: str) -> str:
    """Return the text of `<package>/sql/<name>.sql` for `<package>/<name>`, such as `queue/claim`.

    A line `-- include <other>` stands for the text of that file of the same folder.
    """
    package, _, name = path.rpartition("/")

    def included(line: re.Match[str]) -> str:
        return statement(f"{package}/{line[1]}").removesuffix("\n") + f"{line[2]}\n"

    file = files("hookline").joinpath(*package.split("/"), "sql", f"{name}.sql")
    return _INCLUDE.sub(included, file.read_text(encoding="utf-8"))


def of_days(text: str, **ids: UUID) -> str:
    """Name partitions in a statement: those of these ids' days, `events=…` for `events_day`.

    A plan over a whole partitioned table locks all of its days, whatever it then reads.
    """
    for table, each in ids.items():
        text = text.replace(f"{table}_day", partition_of(table, each).name)
    return text


def notification(channel: str, payload: str = "") -> TextClause:
    """Return a statement that notifies who listens, once its transaction is committed."""
    return _NOTIFY.bindparams(channel=channel, payload=payload)
