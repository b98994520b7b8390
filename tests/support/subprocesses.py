"""Other processes: a program run by a Python of its own, a function run in a forked child."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
import warnings

import pytest
from support.live import PROMPT, Work


@contextlib.contextmanager
def held_elsewhere(lock):
    """Have another thread hold a lock: one that a forked child lacks."""
    held, over = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            over.wait()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait()
    try:
        yield
    finally:
        over.set()
        holder.join()


def run_python(program, *flags, args=(), within=()):
    """Run a program whose only word is "fine"; perhaps within another one."""
    command = [*within, sys.executable, "-W", "error", *flags, "-c", program, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    # That a step was slow, which asyncio reports, is no failure.
    lines = [line for line in done.stderr.splitlines() if "took" not in line]
    assert (done.returncode, lines) == (0, []), done.stderr
    assert done.stdout == "fine\n"


def in_child(function):
    """Run a function in a forked child; what it wrote, and how it ended."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads
        pid = os.fork()
    if pid == 0:
        signal.alarm(int(PROMPT))
        try:
            os.write(writing, str(function()).encode())
        except BaseException:
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    return Work(_answer_of, pid, reading)


def _answer_of(pid, reading):
    with open(reading, "rb") as answer:
        text = answer.read().decode()
    assert os.waitpid(pid, 0)[1] == 0, "the child hung"
    return text


def answered(value):
    """What a method of either client gives, awaited where it must be."""
    return asyncio.run(value) if asyncio.iscoroutine(value) else value
