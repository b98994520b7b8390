"""What is asked of a socket: whether it has something to read, or room, for so long and no longer."""

import contextlib
import socket
import time

import pytest

from llmnet.net.sockets import poller


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture(params=["poll", "select"], autouse=True)
def platform(request, monkeypatch):
    if request.param == "select":
        monkeypatch.delattr("select.poll", raising=False)  # as on Windows


def fill(sock):
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(b"x" * 65536)


def test_something_to_read(pair):
    one, other = pair
    has_come = poller(one, read=True)
    assert not has_come(0.0)
    other.send(b"x")
    assert has_come(0.0)


def test_the_end_is_something_to_read(pair):
    one, other = pair
    other.close()
    assert poller(one, read=True)(0.0)


def test_room(pair):
    one, other = pair
    has_room = poller(one, write=True)
    assert has_room(0.0)
    fill(one)
    assert not has_room(0.0)
    assert not poller(one, read=True, write=True)(0.0)
    other.send(b"x")
    assert poller(one, read=True, write=True)(0.0)
    assert not has_room(0.0)


def test_it_waits_for_so_many_seconds(pair):
    began = time.monotonic()
    assert not poller(pair[0], read=True)(0.05)
    assert time.monotonic() - began >= 0.049
