"""Which process runs on which processor, so that two runs of the benchmark can be compared."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True, slots=True)
class Layout:
    """The processors of each role; a role that is not named runs anywhere."""

    cores: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def pin(self, role: str, processes: Iterable[int]) -> None:
        """Keep processes, and what they start from now on, on their role's processors."""
        cores = self.cores.get(role)
        if cores is None or sys.platform != "linux":
            return
        for pid in processes:
            try:
                threads = [thread.id for thread in psutil.Process(pid).threads()]
                for thread in threads:
                    os.sched_setaffinity(thread, cores)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue  # a backend that has just ended

    def __str__(self) -> str:
        if not self.cores:
            return "each process on any processor"
        return ", ".join(
            f"{role} on {'+'.join(map(str, cores))}" for role, cores in self.cores.items()
        )


def layout_of_this_machine(*, pinned: bool, processes: int = 1) -> Layout:
    """Give each process of the service a processor; Postgres, receiver, generator get the others.

    Where that leaves none for those, nothing is pinned.
    """
    if not pinned or sys.platform != "linux":
        return Layout()
    return spread(sorted(os.sched_getaffinity(0)), processes)


def usual_processes() -> int:
    """Return how many processes of the service suit this machine: half its processors, but two.

    Of two processors both serve: where one waits for the database, the other has work.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, max(2, cores // 2))


def spread(cores: Sequence[int], processes: int) -> Layout:
    """Share these processors out."""
    own, others = cores[:processes], cores[processes:]
    if not others:
        return Layout()
    last = others[-1:]
    database = others[:-1] or others
    return Layout(
        {
            "service": tuple(own),
            "postgres": tuple(database),
            "receiver": tuple(last),
            "generator": tuple(last),
        }
    )
