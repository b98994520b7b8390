"""The processes of a run: the server, a worker for each library and front, and those that make one call and end.

The server has a core of its own, where there are two. Costs are measured by `resource`, which Windows does not have.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Timer
from types import MappingProxyType
from typing import Any

from benchmarks.content import chat_text
from benchmarks.figures import Cost, Sample
from benchmarks.libraries import Library
from benchmarks.worker import Job

TIMEOUT = 60.0  # seconds for each command to a library
_FILES = 20000
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ROOT = Path(__file__).parent.parent


class LibraryError(Exception):
    """A library failed, or gave a wrong reply."""


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what would change the figures.

    A proxy would come between client and server, and a checkout whose bytecode may not be cached would be compiled
    again by each process, unlike an installed package.
    """
    paths = ("PYTHONPATH", "PYTHONHOME")
    kept = (name for name in environ if not name.lower().endswith("_proxy"))
    return {name: environ[name] for name in kept if name in paths or not name.startswith("PYTHON")}


def cores() -> tuple[set[int], set[int]]:
    """The cores of the server and those of the clients, where the system has two and lets them be chosen."""
    first, *others = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else [0]
    return ({first}, {others[-1]}) if others else (set(), set())


def _started(
    *arguments: str, core: set[int], environ: Mapping[str, str] = _NOTHING, **more: Any
) -> "subprocess.Popen[str]":
    more |= {"cwd": _ROOT, "env": {**plain(os.environ), **environ}, "stdout": subprocess.PIPE, "text": True}
    more["start_new_session"] = True  # Ctrl-C goes to the parent only
    process = subprocess.Popen([sys.executable, *arguments], **more)
    if core:
        os.sched_setaffinity(process.pid, core)
    return process


def allow_many_files() -> None:
    """Allow child processes some thousand connections, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FILES:
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run the server as a child process and give its address."""
    with _started("-m", "benchmarks.server", core=cores()[0], stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


class Worker:
    """A library on one front, as a child process.

    Args:
        library: the library.
        front: `sync` or `async`.
        url: the address of the server.
    """

    def __init__(self, library: Library, front: str, url: str) -> None:
        arguments = ("-m", "benchmarks.worker", library.module, front, url)
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = _started(*arguments, core=cores()[1], environ=library.environ, **pipes)

    def run(self, job: Job, timeout: float) -> Cost:
        """Do a job in so many seconds."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        alarm = Timer(timeout, process.kill)
        alarm.start()
        try:
            print(json.dumps(job._asdict()), file=process.stdin, flush=True)
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            alarm.cancel()
        if not answer:
            late = process.wait() == -signal.SIGKILL
            raise LibraryError(f"gave up after {timeout:g} s" if late else "its process has ended")
        done = json.loads(answer)
        if "failed" in done:
            raise LibraryError(done["failed"])
        return Cost(*done["cost"])

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()


def cold_start(library: Library, front: str, url: str) -> Sample:
    """Start a process that makes one call, and measure its steps; its exit is part of the last one."""
    arguments = (library.module, library.package, library.classes[front], front, url)
    program = f"from benchmarks.cold import main; main{arguments!r}"
    before = time.perf_counter(), _used_by_children()
    with _started("-c", program, core=cores()[1], environ=library.environ, stderr=subprocess.PIPE) as process:
        alarm = Timer(TIMEOUT, process.kill)
        alarm.start()
        output, errors = process.communicate()
        alarm.cancel()
    wall, cpu = time.perf_counter() - before[0], _used_by_children() - before[1]
    if process.returncode:
        raise LibraryError(errors.strip().rpartition("\n")[2] or f"gave up after {TIMEOUT:g} s")
    *_, imported, loaded, memory, text = output.splitlines()
    if literal_eval(text) != chat_text(1):
        raise LibraryError("a wrong reply")
    return {"import": _cost(imported), "client": _cost(loaded), "reply": Cost(wall, cpu, float(memory))}


def _cost(line: str) -> Cost:
    return Cost(*map(float, line.split()))


def _used_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
