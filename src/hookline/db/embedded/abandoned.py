"""Removes from root's shelter the clusters whose data directories are gone for good.

Each cluster's note `belongs-to` names its data directory and the device that this lies on. Where a
file system is not mounted the directory is missing too, but its nearest parent that exists then
lies on another device: such a cluster is kept, as is one that is locked or whose server runs.
"""

import fcntl
import os
from pathlib import Path

from hookline.db.embedded.files import open_private, remove_tree, write
from hookline.db.embedded.processes import is_alive, read_pid_file
from hookline.logs import get_logger

_LOG = get_logger(__name__)


def write_owner(cluster: Path, data_dir: Path) -> None:
    """Note whose a sheltered cluster is; at each start, as directories and devices may move."""
    device = data_dir.stat().st_dev
    write(cluster / "belongs-to", f"{data_dir}\n{device}\n", mode=0o600)


def sweep(shelter: Path) -> None:
    """Remove what no data directory can ever name again; what cannot be removed is logged."""
    for cluster in sorted(shelter.glob("cluster-*")):
        try:
            if _is_abandoned(cluster):
                _remove(cluster)
        except OSError:
            _LOG.exception("embedded_postgres.sweep_failed", directory=str(cluster))


def _is_abandoned(cluster: Path) -> bool:
    """Tell whether the data directory is gone, though what it lay on is there."""
    try:
        data_dir, device, *_ = (cluster / "belongs-to").read_text(encoding="utf-8").splitlines()
        recorded = int(device)
    except (FileNotFoundError, ValueError):
        return False  # just being made, or by a version that noted no device: nobody can tell
    place = Path(data_dir)
    if os.path.lexists(place):
        return False
    parent = next(each for each in place.parents if each.exists())
    return parent.stat().st_dev == recorded


def _remove(cluster: Path) -> None:
    """Remove a cluster unless somebody owns it: a moved data directory may, or a server lives."""
    lock = open_private(cluster / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        server = read_pid_file(cluster / "data")
        if server is None or not is_alive(server.pid):
            remove_tree(cluster)
            _LOG.info("embedded_postgres.abandoned_removed", directory=str(cluster))
    except BlockingIOError:
        return
    finally:
        os.close(lock)
