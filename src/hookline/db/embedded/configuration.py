"""The server's settings, written anew at each start: what a small machine and a queue want."""

from collections.abc import Mapping

from hookline.db.embedded.home import ROLE

_SETTINGS = {
    # who gets in
    "listen_addresses": "",  # the socket alone: no port to collide with, no network to guard
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "max_locks_per_transaction": "512",  # a claim plans over every day kept: two locks for each
    "superuser_reserved_connections": "0",  # nobody connects as superuser
    "authentication_timeout": "10s",
    "password_encryption": "scram-sha-256",
    # memory
    "shared_buffers": "128MB",
    "huge_pages": "off",  # 128 MB gain nothing from them
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "temp_file_limit": "2GB",  # a mistaken query must not fill the disk
    # durability: 202 means on disk
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "restart_after_crash": "on",
    "wal_level": "minimal",  # no replica will ever read it
    "max_wal_senders": "0",
    "wal_buffers": "16MB",
    "wal_compression": "off",  # the wheel has pglz alone, which costs more CPU than it saves disk
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",  # fewer checkpoints, so fewer whole pages in the log
    "checkpoint_timeout": "10min",
    "checkpoint_completion_target": "0.9",
    # queries: many, short, over indexes
    "jit": "off",
    "random_page_cost": "1.1",  # solid state disks
    "max_parallel_workers_per_gather": "0",  # two cores, both busy
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # three processes fewer; the hot pages are in memory
    # a queue's tables change all the time
    "autovacuum": "on",
    "autovacuum_naptime": "10s",
    "autovacuum_max_workers": "2",
    "autovacuum_vacuum_threshold": "500",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.1",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "1000",
    # the log: a file a day, each overwritten a week later, without statements' values
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_line_prefix": "%m [%p] ",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",  # the details of an error show the row
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    # what clients see
    "timezone": "UTC",
    "datestyle": "iso, ymd",
    "lc_messages": "C",
    "default_text_search_config": "pg_catalog.simple",
}

_WHOLE = "# Written by Hookline at each start; changes are lost.\n{lines}\n"


def server_settings(changes: Mapping[str, str]) -> str:
    """Return postgresql.conf: our settings with the caller's changes."""
    settings = _SETTINGS | dict(changes)
    return _WHOLE.format(lines="\n".join(f"{n} = {quoted(v)}" for n, v in settings.items()))


def access_rules() -> str:
    """Return pg_hba.conf: one role, by password, over the socket; nobody else, nowhere."""
    return _WHOLE.format(lines=f"local all {ROLE} scram-sha-256\nlocal all all reject")


def quoted(value: str) -> str:
    r"""Return a setting's value as postgresql.conf reads it: `it's` becomes `'it''s'`."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
