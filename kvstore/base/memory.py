"""Give memory that is free inside the process back to the system: glibc keeps it unless asked."""

import sys


def give_back() -> bool:
    """Ask the allocator; False where it cannot be asked. May take milliseconds: not for the event loop's thread."""
    if not sys.platform.startswith("linux"):
        return False
    # Loaded when it is used: it takes part in no member's start.
    import ctypes

    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        # musl has none.
        return False
    return bool(trim(0))
