"""The processes of a run: the server, a worker for each library and front, and those that start, ask once and end.

What they used is asked of the system by `resource`, which Windows has not.
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

PATIENCE = 60.0  # seconds for whatever a library is told to do
_FILES = 8192
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ROOT = Path(__file__).parent.parent


class LibraryError(Exception):
    """A library did not do what it was told."""


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what would change the figures.

    A proxy would come between client and server, and a checkout of which no bytecode may be kept would be compiled anew
    by each process, while what is installed is not.
    """
    where = ("PYTHONPATH", "PYTHONHOME")
    kept = (name for name in environ if not name.lower().endswith("_proxy"))
    return {name: environ[name] for name in kept if name in where or not name.startswith("PYTHON")}


def _started(*arguments: str, environ: Mapping[str, str] = _NOTHING, **more: Any) -> "subprocess.Popen[str]":
    more |= {"cwd": _ROOT, "env": {**plain(os.environ), **environ}, "stdout": subprocess.PIPE, "text": True}
    more["start_new_session"] = True  # Ctrl-C is for who started them
    return subprocess.Popen([sys.executable, *arguments], **more)


def allow_many_files() -> None:
    """Let all processes that are started have some thousand connections, as far as the system grants that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FILES:
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A server as a child process, which ends with its input: its address."""
    with _started("-m", "benchmarks.server", stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


class Worker:
    """A library on one front, as a child process.

    Args:
        library: which.
        front: which.
        url: where the server is.
    """

    def __init__(self, library: Library, front: str, url: str) -> None:
        arguments = ("-m", "benchmarks.worker", library.module, front, url)
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = _started(*arguments, environ=library.environ, **pipes)

    def open(self, ask: str, at_once: int) -> None:
        """Begin another kind of work, with a new client."""
        self._told(PATIENCE, open=ask, at_once=at_once)

    def run(self, calls: int, patience: float) -> Cost:
        """Make so many calls, in so many seconds."""
        return Cost(*self._told(patience, calls=calls)["cost"])

    def _told(self, patience: float, **what: Any) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        alarm = Timer(patience, process.kill)
        alarm.start()
        try:
            print(json.dumps(what), file=process.stdin, flush=True)
            said = process.stdout.readline()
        except BrokenPipeError:
            said = ""
        finally:
            alarm.cancel()
        if not said:
            late = process.wait() == -signal.SIGKILL
            raise LibraryError(f"gave up after {patience:g} s" if late else "its process has ended")
        done: dict[str, Any] = json.loads(said)
        if "failed" in done:
            raise LibraryError(done["failed"])
        return done

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.communicate()


def cold_start(library: Library, front: str, url: str) -> Sample:
    """Start a process that asks once: what its steps took; its end is part of the last one."""
    arguments = (library.module, library.package, library.classes[front], front, url)
    program = f"from benchmarks.cold import main; main{arguments!r}"
    before = time.perf_counter(), _used_by_children()
    with _started("-c", program, environ=library.environ, stderr=subprocess.PIPE) as process:
        alarm = Timer(PATIENCE, process.kill)
        alarm.start()
        said, complaint = process.communicate()
        alarm.cancel()
    wall, cpu = time.perf_counter() - before[0], _used_by_children() - before[1]
    if process.returncode:
        raise LibraryError(complaint.strip().rpartition("\n")[2] or f"gave up after {PATIENCE:g} s")
    *_, imported, loaded, memory, text = said.splitlines()
    if literal_eval(text) != chat_text(1):
        raise LibraryError("a wrong reply")
    return {"import": _cost(imported), "client": _cost(loaded), "reply": Cost(wall, cpu, float(memory))}


def _cost(line: str) -> Cost:
    return Cost(*map(float, line.split()))


def _used_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
