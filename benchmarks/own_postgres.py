"""A Postgres of a benchmark's own, migrated; thrown away afterwards unless it has a folder."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from hookline.db.embedded import EmbeddedPostgres
from hookline.db.migrate import migrate_at


@asynccontextmanager
async def own_postgres(keep: Path | None = None, **settings: str) -> AsyncIterator[str]:
    """Start the bundled Postgres with these settings; give its address.

    It lies in a temporary folder, or in the one to keep, and is found there the next time.
    """
    with nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _make(home)
        server = EmbeddedPostgres(home / "data", system_dir=home / "system_dir", settings=settings)
        dsn = await server.start()
        try:
            await migrate_at(dsn)
            yield dsn
        finally:
            await server.stop()


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # Postgres has a user of its own here
