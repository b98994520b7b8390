"""Idle connections: all that calls can use are kept, the last to come serves first, and none is kept for ever."""

import asyncio
import gc
import itertools
import queue
import time
import tracemalloc
from collections import deque

import pytest
from support.inside import connections_of, transport_of
from support.live import Work, at, child_of, eventually
from support.proxy import Proxy

import llmnet
from llmnet.core.exchange import Exchange
from llmnet.net import sockets
from llmnet.testing import Reply
from llmnet.transports.aio import connection as aio_connection
from llmnet.transports.aio import idle as aio_idle
from llmnet.transports.aio import pool as aio_pool
from llmnet.transports.aio.per_loop import PerLoop
from llmnet.transports.sync import lending
from llmnet.transports.sync import pool as sync_pool

FEW = 5
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def asking(front, client, server):
    """A function that asks a host by its number; the host is another name of the one server."""

    def ask(number):
        return child_of(front, client, base_url=f"http://h{number}.test:{server.port}/v1").chat("Hi")

    return ask


def opened(server):
    """Connections that the server has open, once those that were closed are seen to be."""
    return len(connections_of(server))


def set_everywhere(monkeypatch, name, value):
    for module in (sockets, aio_connection, aio_idle, aio_pool, lending, sync_pool):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)


def test_a_great_limit_costs_nothing_before_it_is_used(front, server):
    with front.client(**at(server, max_concurrent=10**6)) as client:
        gc.collect()
        tracemalloc.start()
        try:
            client.chat("Hi")
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()
        client.chat("Hi")
    assert server.connections == 1


def test_all_that_were_in_use_at_once_are_kept(front, server):
    with front.client(**at(server, max_concurrent=20)) as client:
        for _ in range(3):
            server.handler = lambda request: Reply(hold=True)
            before = server.request_count
            calls = [Work(client.chat, "Hi") for _ in range(20)]
            server.wait_for_requests(before + 20)
            server.release()
            for call in calls:
                call.result()
        assert server.connections == 20


def test_more_than_the_limit_are_not_kept():
    idle = lending.Idle(2)
    for _ in range(10):
        idle.put(None)
    with pytest.raises(queue.Empty):
        idle.get()
    idle.put("a")
    idle.put("b")
    with pytest.raises(queue.Full):
        idle.put("c")
    assert [idle.get(), idle.get()] == ["b", "a"], "the last one to come is the first to go"


class Connection:
    def __init__(self):
        self.closed = self.is_tired = False

    def close(self):
        self.closed = True


def test_in_sync_what_is_idle_for_too_long_is_closed_and_a_host_that_nobody_asks_is_forgotten(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(lending.Idle, "clock", staticmethod(lambda: now[0]))
    idle = lending.Idle(10)
    old, young = Connection(), Connection()
    idle.put(old)
    now[0] = 30.0
    idle.put(young)
    now[0] = 60.0
    idle.tidy()
    assert (old.closed, young.closed, idle.qsize(), idle.forgotten) == (True, False, 1, False)
    now[0] = 629.0
    idle.tidy()
    assert (young.closed, idle.forgotten) == (True, False)
    now[0] = 630.0
    assert idle.forgotten


def test_in_async_what_is_idle_for_too_long_is_given_back_to_be_closed():
    idle, host, other = aio_idle.Idle(), (b"http", b"h", 80), (b"http", b"o", 80)
    old, young = Connection(), Connection()
    idle.keep(host, old)
    idle.keep(host, young)
    idle.keep(other, young)
    old.is_tired = True
    assert idle.tidy() == [old]
    assert (idle.at(host), idle.at(other)) == (deque([young]), deque([young]))
    old.is_tired, idle._look_at = True, 0.0  # private: time goes by
    young.is_tired = True
    assert idle.tidy() == [young, young]
    assert not idle._hosts  # private: nothing of a host is kept


def test_a_dozen_hosts_are_each_connected_to_once(front, server, names):
    with front.client(**at(server)) as client:
        ask = asking(front, client, server)
        for _ in range(3):
            for number in range(12):
                ask(number)
    assert server.connections == 12


def test_hosts_do_not_add_up_for_ever(front, server, names, monkeypatch):
    set_everywhere(monkeypatch, "HOSTS", FEW)
    with front.client(**at(server)) as client:
        ask = asking(front, client, server)
        for number in range(4 * FEW):
            ask(number)
        eventually(lambda: opened(server) <= FEW)
        before = server.connections
        for number in range(3 * FEW, 4 * FEW):
            ask(number)
        assert server.connections == before, "those that were asked last are still connected"


def test_what_is_idle_for_too_long_is_closed_when_another_host_is_asked(front, server, names, monkeypatch):
    set_everywhere(monkeypatch, "PATIENCE", 0.01)
    with front.client(**at(server)) as client:
        ask = asking(front, client, server)
        ask(1)
        time.sleep(0.02)
        ask(2)
        ask(3)
        eventually(lambda: opened(server) <= 2)


@pytest.fixture
def another(monkeypatch):
    """A proxy that asks for a password; each call names it in the environment with another user."""
    with Proxy() as proxy:
        users = itertools.count()

        def name_it():
            monkeypatch.setenv("http_proxy", f"http://user{next(users)}:pw@127.0.0.1:{proxy.port}")

        yield name_it
        assert len(set(proxy.credentials) - {None}) == next(users)


def test_proxies_of_a_session_do_not_add_up_for_ever(server, another):
    with llmnet.create_session() as session:
        for _ in range(3 * sockets.WAYS):
            another()
            assert session.get(f"{server.url}/v1/models").ok
        assert len(session.get_adapter(server.url).proxy_manager) <= sockets.WAYS


async def test_proxies_of_an_async_client_for_any_api_do_not_add_up_for_ever(server, another):
    async with llmnet.create_async_client() as client:
        for _ in range(3 * sockets.WAYS):
            another()
            assert (await client.get(f"{server.url}/v1/models")).is_success
        ((guest, _),) = transport_of(client)._carrier._clients._kept.values()  # private: clients that are kept
        assert len(guest.clients) <= sockets.WAYS


async def test_a_way_in_use_is_not_closed(server, another):
    server.script(Reply(hold="body"))
    chat = f"{server.url}/v1/chat/completions"
    async with llmnet.create_async_client() as client, client.stream("POST", chat, json=CHAT) as reply:
        for _ in range(2 * sockets.WAYS):
            another()
            assert (await client.get(f"{server.url}/v1/models")).is_success
        server.release()
        assert (await reply.aread()).endswith(b"data: [DONE]\n\n")


def test_sessions_for_any_api_are_as_tidy(server, names, monkeypatch):
    set_everywhere(monkeypatch, "HOSTS", FEW)
    server.handler = lambda request: Reply(body=b"{}")
    with llmnet.create_session() as session:
        for number in range(3 * FEW):
            assert session.get(f"http://h{number}.test:{server.port}/").ok
        eventually(lambda: opened(server) <= FEW)


def exchanges():
    """All that are alive, whoever keeps them."""
    return {thing for thing in gc.get_objects() if isinstance(thing, Exchange)}


@pytest.mark.parametrize("how", ["chat", "stream"])
def test_an_idle_connection_holds_nothing_of_the_call_that_it_has_served(front, server, how):
    with front.client(**at(server)) as client:
        kept = exchanges()
        client.chat("hi") if how == "chat" else list(client.stream_chat("hi"))
        gc.collect()
        assert opened(server) == 1
        assert exchanges() <= kept


def test_loops_that_were_closed_without_a_word_are_let_go():
    async def close(value):
        raise AssertionError("they have sent no word")

    values = PerLoop(list, close)
    for _ in range(FEW):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(values.here()) is loop.run_until_complete(values.here())
        loop.close()
    assert len(values._kept) == 1  # private: what is kept is seen nowhere else
