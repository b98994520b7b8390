"""What a process has used so far; it imports very little, since it is loaded where imports are measured."""

import sys
from time import perf_counter, process_time

_STATUS = "/proc/self/status"
_RESET = "/proc/self/clear_refs"


def reading() -> tuple[float, float, float]:
    """Seconds of wall and of CPU time, and the peak of memory."""
    return perf_counter(), process_time(), peak_memory()


def since(before: tuple[float, float, float]) -> tuple[float, float, float]:
    """The time that has passed since a reading, and the peak of memory."""
    wall, cpu, _ = before
    return perf_counter() - wall, process_time() - cpu, peak_memory()


def peak_memory() -> float:
    """The most memory that was resident, in MB.

    Linux inherits `ru_maxrss` through fork and exec: a small child of a large process seems as large as its parent.
    """
    try:
        with open(_STATUS) as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource

        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def resident() -> float:
    """The memory that is resident now, in MB; 0 where the system does not say."""
    try:
        with open(_STATUS) as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
    except OSError:
        return 0.0


def forget_peak() -> None:
    """Reset the peak to the memory resident now, where the system supports it."""
    try:
        with open(_RESET, "w") as reset:
            reset.write("5")
    except OSError:
        pass
