"""Memory that is free goes back to the system.

What outlives a search (a hole's factorised system, a photo's pixels) lies in the heap behind what the search needed,
and glibc gives back only what is free at the heap's end.
"""

import contextlib
import ctypes
import threading
import time

EVERY = 5.0  # seconds at least from one time to the next: it takes milliseconds, and the next search wants some back

_lock = threading.Lock()
_last = -EVERY


def give_back() -> None:
    """Returns all free memory to the system, unless that was done within `EVERY` seconds."""
    global _last
    with _lock:
        if time.monotonic() - _last < EVERY:
            return
        _last = time.monotonic()
    give_back_now()


def give_back_now() -> None:
    """As `give_back`, at once."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
