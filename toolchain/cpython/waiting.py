"""CPython's functions that wait, and the numbers of its locks."""

from __future__ import annotations

WAITING = (
    "time_sleep",
    "select_select",
    "select_poll_poll",
    "_PyMutex_LockTimed",
    "do_start_new_thread",
    "_PyParkingLot_Park",
)
"""The functions in which Python code can wait, and the one that starts a thread; waits.c has what is called instead.

What is called instead has the same parameters.
"""

POLLING = frozenset({"clock_nanosleep", "poll", "_PySemaphore_Wait", "__pthread_cond_timedwait"})
"""What a wait ends in. A test holds that only what cannot be reached from Python still calls it."""

LOCKS = {
    # PyLockStatus
    "LOCK_FAILURE": 0,
    "LOCK_ACQUIRED": 1,
    "LOCK_INTERRUPTED": 2,
    # _PyLockFlags: who locks with one of these knows LOCK_INTERRUPTED
    "HANDLE_SIGNALS": 2,
    "FAIL_IF_INTERRUPTED": 4,
    # a PyMutex that is held
    "LOCKED": 1,
    # what _PyParkingLot_Park returns
    "PARKED": 0,
}
"""Numbers of CPython's locks."""
