"""A name with many addresses costs no more than a moment where the first ones are silent; what was begun is ended."""

import contextlib
import socket
import time

import pytest
from support.live import Work, at, blocked, eventually, no_leak

import llmnet
from llmnet.testing import full_peer

NAME = "many.test"
SILENT = "127.0.0.2"
BOUND = 10.0  # of the share of an address that is waited for alone; a race needs a fraction of it


@pytest.fixture
def named(monkeypatch):
    """Say which hosts a name stands for."""
    real, known = socket.getaddrinfo, []

    def resolve(host, port, *args, **options):
        if host != NAME:
            return real(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in known]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known.extend


def fields(server, **more):
    timeout = llmnet.Timeout(connect=BOUND, response=30, idle=30, total=60)
    return {**at(server, timeout=timeout, max_retries=0, **more), "base_url": f"http://{NAME}:{server.port}/v1"}


@pytest.mark.parametrize("others", [1, 19])
def test_a_silent_first_address_costs_a_moment(front, server, named, others):
    named([SILENT, "127.0.0.1", *[f"127.0.1.{number}" for number in range(others - 1)]])
    with full_peer(host=SILENT, port=server.port), no_leak(server), front.client(**fields(server)) as client:
        started = time.monotonic()
        assert client.chat("hi").content
        assert time.monotonic() - started < BOUND / 4


def test_addresses_that_fail_give_up_their_head_start(front, server, named):
    named([*[f"127.0.1.{number}" for number in range(19)], "127.0.0.1"])
    with no_leak(server), front.client(**fields(server)) as client:
        started = time.monotonic()
        assert client.chat("hi").content
        assert time.monotonic() - started < BOUND / 4


def test_the_first_address_serves_where_all_would(front, server, named):
    named(["127.0.0.1", "127.0.0.1", "127.0.1.1"])
    with no_leak(server), front.client(**fields(server)) as client:
        assert client.chat("hi").content
    assert server.connections == 1


def test_who_is_stopped_waits_for_no_address(front, server, named):
    hosts = [SILENT, "127.0.0.3"]
    named(hosts)
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(full_peer(host=host, port=server.port))
        stack.enter_context(no_leak(server))
        client = stack.enter_context(front.client(**fields(server)))
        stream = client.stream_chat("hi")
        work = Work(stream.__enter__)
        eventually(lambda: blocked(stream))
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            work.result()


def test_a_bound_holds_for_all_addresses_together(front, server, named):
    hosts = [SILENT, "127.0.0.3", "127.0.0.4"]
    named(hosts)
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(full_peer(host=host, port=server.port))
        stack.enter_context(no_leak(server))
        timeout = llmnet.Timeout(connect=0.4, response=30, idle=30, total=60)
        client = stack.enter_context(front.client(**{**fields(server), "timeout": timeout}))
        with pytest.raises(llmnet.APITimeoutError) as caught:
            client.chat("hi")
        assert caught.value.phase == "connect"
