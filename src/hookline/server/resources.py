"""What this process may take of the system, and what it gives back."""

import contextlib
import ctypes
import resource
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # mallopt(3)
_LARGE: Final = 1024 * 1024  # bytes; glibc's own threshold grows to 32 MiB with what is freed


def allow_many_sockets() -> None:
    """Raise the limit to what the system allows: callers must not use up what deliveries need.

    A shell's own limit is often 1,024, far below the connections that the settings allow.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a bound that it does not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def return_large_buffers() -> None:
    """Have glibc give each buffer above 1 MiB back to the system as soon as it is freed.

    Otherwise the bodies of large batches come from its heap once a few were freed, and stay there.
    """
    with contextlib.suppress(AttributeError):  # other C libraries have no mallopt
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
