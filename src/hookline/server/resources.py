"""What this process may take of the system."""

import contextlib
import resource


def allow_many_sockets() -> None:
    """Raise the limit to what the system allows: callers must not use up what deliveries need.

    A shell's own limit is often 1,024, far below the connections that the settings allow.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a bound that it does not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
