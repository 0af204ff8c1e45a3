"""The queue's SQL: one file for each statement, named like the method that runs it."""

import re
from importlib.resources import files
from uuid import UUID

from hookline.db.partitions import partition_of

_INCLUDE = re.compile(r"^-- include (\w+)(,?)\n", re.MULTILINE)


def statement(name: str) -> str:
    """Return the text of `sql/<name>.sql`; a line `-- include <other>` stands for that file's."""

    def included(line: re.Match[str]) -> str:
        return statement(line[1]).removesuffix("\n") + f"{line[2]}\n"

    text = (files("hookline.queue") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    return _INCLUDE.sub(included, text)


def of_days(text: str, **ids: UUID) -> str:
    """Name partitions in a statement: those of these ids' days, `events=…` for `events_day`.

    A plan over a whole partitioned table locks all of its days, whatever it then reads.
    """
    for table, each in ids.items():
        text = text.replace(f"{table}_day", partition_of(table, each).name)
    return text
