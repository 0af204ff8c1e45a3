"""The queue's SQL: one file for each statement, named like the method that runs it."""

import re
from importlib.resources import files

_INCLUDE = re.compile(r"^-- include (\w+)(,?)\n", re.MULTILINE)


def statement(name: str) -> str:
    """Return the text of `sql/<name>.sql`; a line `-- include <other>` stands for that file's."""

    def included(line: re.Match[str]) -> str:
        return statement(line[1]).removesuffix("\n") + f"{line[2]}\n"

    text = (files("hookline.queue") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    return _INCLUDE.sub(included, text)
