"""The queue's SQL: one file for each statement, named like the method that runs it."""

from importlib.resources import files


def statement(name: str) -> str:
    """Return the text of `sql/<name>.sql`."""
    return (files("hookline.queue") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
