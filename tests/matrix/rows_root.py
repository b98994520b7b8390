"""Rows of the fault matrix that only root can play: each in a network of its own, where this file runs as a program."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest
from matrix.case import LOW, THRICE, Expect, Row, check, run
from support.live import PROMPT, Async, Sync
from support.paths import TESTS

import llmnet
from llmnet.testing import FakeServer

LOST, LATE = llmnet.APIConnectionError, llmnet.APITimeoutError
ROOT = pathlib.Path(llmnet.__file__).parents[1]
PORTS = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")

# -- scenes: they change the network that they are played in, and leave it so ---------------------------------------------


def rule(*target):
    """What the kernel does with packets to the server."""

    @contextlib.contextmanager
    def scene(server):
        command = ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", str(server.port), "-j", *target]
        subprocess.run(command, check=True, timeout=PROMPT)
        yield {}

    return scene


@contextlib.contextmanager
def no_port_left(server):
    """The only port that a connection could come from is taken."""
    PORTS.write_text("40000 40000")
    with socket.socket() as other:
        other.bind(("", 40000))
        yield {}


# -- a network of its own ------------------------------------------------------------------------------------------------


@functools.cache
def missing():
    """Why no network can be had, or the empty string."""
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ("unshare", "ip", "iptables")):
        return "needs root, unshare, ip and iptables"
    tried = subprocess.run(["unshare", "-n", "iptables", "-L"], capture_output=True, timeout=PROMPT, check=False)
    return tried.stderr.decode() if tried.returncode else ""


def alone(row):
    """Play a row by running this file where the network is its own."""

    def play(front, server):
        if reason := missing():
            pytest.skip(reason)
        command = ["unshare", "-n", sys.executable, __file__, row.fault, front.name]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    return dataclasses.replace(row, play=play)


def main(fault, front):
    """Play a row here; a failed assertion is the end of the program."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=PROMPT)
    (row,) = (row for row in ROWS if row.fault == fault)
    front = Sync() if front == "sync" else Async()
    try:
        with FakeServer() as server:
            check(run(front, server, row, stream=False), row.expect)
    finally:
        if front.name == "async":
            front.stop()


def lost(number, name, scene, error=LOST):
    return alone(
        Row(
            number=number, phase="connect", fault=name, scene=scene, fields={"timeout": LOW},
            expect=Expect(error=error, phase="connect", sent=0, attempts=4, waits=THRICE, connections=0, billed=False),
        )
    )  # fmt: skip


ROWS = [
    lost(8, "SYN dropped", rule("DROP"), LATE),
    lost(9, "host unreachable", rule("REJECT", "--reject-with", "icmp-host-unreachable")),
    lost(9, "port unreachable", rule("REJECT", "--reject-with", "icmp-port-unreachable")),
    lost(12, "no port left", no_port_left),
    alone(
        Row(
            number=130,
            phase="net",
            fault="each fourth packet lost",
            script=("Hi " * 20_000,),
            scene=rule("DROP", "-m", "statistic", "--mode", "nth", "--every", "4", "--packet", "1"),
            expect=Expect(text="Hi " * 20_000, sent=1, connections=1),
        )
    ),
]

if __name__ == "__main__":
    main(*sys.argv[1:])
