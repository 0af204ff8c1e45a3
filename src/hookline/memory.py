"""What the C library's allocator keeps of freed memory, and when it gives it back."""

import contextlib
import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # mallopt(3)
_LARGE: Final = 1024 * 1024  # bytes; glibc's own threshold grows to 32 MiB with what is freed


def return_large_buffers() -> None:
    """Have glibc give each buffer above 1 MiB back to the system as soon as it is freed.

    Otherwise the bodies of large batches come from its heap once a few were freed, and stay there.
    """
    with contextlib.suppress(AttributeError):  # other C libraries have no mallopt
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def return_free_pages() -> None:
    """Give the free pages of the heap back to the system, also those between live objects.

    The events of a large batch are smaller than what `return_large_buffers` covers.
    """
    with contextlib.suppress(AttributeError):  # other C libraries have no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)
