"""Lookups: one for all who ask at once, bounded for each of them, in nobody's way at exit and after a fork."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import weakref

import pytest

from llmnet.net import dns, sockets
from llmnet.net.dns import Lookup, lookup
from llmnet.net.sockets import TCP_OPTIONS, shutdown

pytestmark = pytest.mark.threads

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("192.0.2.7", 443))]
LONG = 30.0


class Resolver:
    """In place of `socket.getaddrinfo`: names that begin with "slow" wait for the gate."""

    def __init__(self):
        self.gate = threading.Event()
        self.calls = []
        self.threads = []
        self.fails = None

    def __call__(self, host, port, **options):
        assert options == {"type": socket.SOCK_STREAM}
        self.calls.append((host, port))
        self.threads.append(threading.current_thread())
        if host.startswith("slow"):
            assert self.gate.wait(LONG)
        if self.fails is not None:
            raise self.fails
        return list(FOUND)


@pytest.fixture
def resolver(monkeypatch):
    fake = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", fake)
    yield fake
    fake.gate.set()
    for thread in fake.threads:
        thread.join(LONG)
    assert dns._IN_FLIGHT._lookups == {}  # private: what is in flight is seen nowhere else


def joined(resolver):
    """Wait until the threads of all lookups have ended."""
    for thread in resolver.threads:
        thread.join(LONG)


def test_a_name_is_resolved_on_a_daemon_thread(resolver):
    assert lookup("api.example", 443).wait(LONG) == FOUND
    (thread,) = resolver.threads
    assert thread.daemon
    assert thread is not threading.current_thread()


def test_a_real_name():
    assert ("127.0.0.1", 80) in [row[4][:2] for row in lookup("localhost", 80).wait(LONG)]


@pytest.mark.parametrize(
    ("host", "family", "address"),
    [
        ("192.0.2.1", socket.AF_INET, ("192.0.2.1", 443)),
        ("::1", socket.AF_INET6, ("::1", 443, 0, 0)),
        ("[::1]", socket.AF_INET6, ("::1", 443, 0, 0)),
    ],
)
async def test_an_address_is_its_own_answer(resolver, host, family, address):
    expected = [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]
    assert lookup(host, 443).wait(0) == expected
    assert await lookup(host, 443).awaited() == expected
    assert resolver.calls == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_answer_for_an_address_is_the_systems(host):
    assert lookup(host, 443).wait(0) == socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)


def test_an_address_is_tried_once_however_often_it_is_found(resolver, monkeypatch):
    second, other = (*FOUND[0][:4], ("192.0.2.8", 443)), (*FOUND[0][:2], 132, "", FOUND[0][4])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [*FOUND, second, other, second])
    assert lookup("twice.example", 443).wait(LONG) == [*FOUND, second]


def test_an_address_with_a_scope_is_left_to_the_system(resolver):
    assert lookup("fe80::1%lo", 443).wait(LONG) == FOUND
    assert resolver.calls == [("fe80::1%lo", 443)]


def test_all_who_ask_at_once_share_one_thread(resolver):
    found = [lookup("slow.example", 443) for _ in range(50)]
    assert len(set(found)) == 1
    got, threads = (
        [],
        [threading.Thread(target=lambda: got.append(found[0].wait(LONG)), daemon=True) for _ in range(20)],
    )
    for thread in threads:
        thread.start()
    resolver.gate.set()
    for thread in threads:
        thread.join(LONG)
    assert got == [FOUND] * 20
    assert resolver.calls == [("slow.example", 443)]


def test_another_port_is_another_lookup_and_so_is_a_later_one(resolver):
    lookup("api.example", 443).wait(LONG)
    lookup("api.example", 80).wait(LONG)
    lookup("api.example", 443).wait(LONG)
    assert resolver.calls == [("api.example", 443), ("api.example", 80), ("api.example", 443)]


def test_silent_names_starve_nobody(resolver):
    slow = [lookup(f"slow{n}.example", 443) for n in range(30)]
    assert lookup("quick.example", 443).wait(LONG) == FOUND
    for one in slow:
        with pytest.raises(TimeoutError):
            one.wait(0)


@pytest.mark.parametrize("seconds", [0.01, 0, -1])
def test_a_wait_is_bounded(resolver, seconds):
    slow = lookup("slow.example", 443)
    with pytest.raises(TimeoutError, match="timed out"):
        slow.wait(seconds)
    resolver.gate.set()
    assert slow.wait(float("inf")) == FOUND


def test_the_callers_list_is_his_own(resolver):
    found = lookup("api.example", 443)
    found.wait(LONG).clear()
    assert found.wait(0) == FOUND


def test_every_waiter_gets_an_error_of_his_own(resolver):
    resolver.fails = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    found, errors = lookup("slow.example", 443), []
    resolver.gate.set()
    for _ in range(2):
        with pytest.raises(socket.gaierror) as caught:
            found.wait(LONG)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert {(e.errno, e.strerror) for e in errors} == {(socket.EAI_NONAME, "Name or service not known")}


@pytest.mark.parametrize(
    "error", [OSError(24, "Too many open files"), RuntimeError("blocked by a test"), SystemExit(3)]
)
async def test_any_other_failure_reaches_those_who_wait(resolver, error):
    resolver.fails = error
    with pytest.raises(type(error), match=str(error.args[-1])):
        lookup("api.example", 443).wait(LONG)
    with pytest.raises(type(error), match=str(error.args[-1])):
        await lookup("api.example", 443).awaited()


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example", "\ud800"])
def test_what_can_be_no_name_is_like_a_name_that_nobody_has(host):
    with pytest.raises(socket.gaierror) as caught:
        lookup(host, 443).wait(LONG)
    assert caught.value.errno == socket.EAI_NONAME


def test_without_a_thread_the_waiters_hear_of_it(monkeypatch, resolver):
    def start(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        found = lookup("api.example", 443)
    with pytest.raises(socket.gaierror, match="can't start new thread") as caught:
        found.wait(LONG)
    assert caught.value.errno == socket.EAI_AGAIN
    assert lookup("api.example", 443).wait(LONG) == FOUND


def test_a_callback_is_called_at_the_end_or_at_once(resolver):
    ended, slow = threading.Event(), lookup("slow.example", 443)
    slow.add_done_callback(lambda _: ended.set())
    assert not ended.is_set()
    resolver.gate.set()
    assert ended.wait(LONG)
    late = []
    slow.add_done_callback(lambda one: late.append(one.wait(0)))
    assert late == [FOUND]


async def test_tasks_and_threads_share_a_lookup(resolver):
    slow = lookup("slow.example", 443)
    tasks = [asyncio.create_task(lookup("slow.example", 443).awaited()) for _ in range(20)]
    thread = asyncio.create_task(asyncio.to_thread(slow.wait, LONG))
    await asyncio.sleep(0)
    resolver.gate.set()
    assert await asyncio.gather(*tasks, thread) == [FOUND] * 21
    assert len(resolver.calls) == 1


async def test_an_awaited_failure(resolver):
    resolver.fails = socket.gaierror(socket.EAI_AGAIN, "try again")
    with pytest.raises(socket.gaierror, match="try again"):
        await lookup("api.example", 443).awaited()


async def test_a_timeout_or_cancellation_leaves_the_lookup_to_the_others(resolver):
    slow = lookup("slow.example", 443)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow.awaited(), 0.01)
    cancelled, stays = asyncio.create_task(slow.awaited()), asyncio.create_task(slow.awaited())
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert not slow.done()
    resolver.gate.set()
    assert await stays == FOUND


async def test_waiters_that_have_given_up_leave_nothing_behind(resolver):
    """A name may stay silent for minutes, while call after call gives it up."""

    slow = lookup("slow.example", 443)
    gone = [asyncio.wait_for(slow.awaited(), 0.001) for _ in range(200)]
    assert {type(error) for error in await asyncio.gather(*gone, return_exceptions=True)} == {TimeoutError}
    assert (len(slow._done_callbacks), slow._wakes) == (1, set())  # private: nobody else sees what is left


def test_whoever_comes_at_the_end_is_woken(resolver):
    resolver.gate.set()
    ended = lookup("api.example", 443)
    ended.wait(LONG)
    woken = []
    with ended.waking(lambda: woken.append(1)):
        assert woken == [1]


def test_a_lookup_is_no_cycle(resolver):
    """Nothing of it waits for the collector."""
    gone = weakref.ref(lookup("192.0.2.1", 443))
    assert gone() is None


async def test_a_cancellation_that_meets_the_end():
    slow = Lookup()
    task = asyncio.create_task(slow.awaited())
    await asyncio.sleep(0)
    slow.set_result(list(FOUND))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await slow.awaited() == FOUND


def test_a_loop_that_is_closed_meanwhile_is_no_error(resolver):
    loop, slow = asyncio.new_event_loop(), lookup("slow.example", 443)

    async def begin():
        task = asyncio.ensure_future(slow.awaited())
        await asyncio.sleep(0)
        return task

    task = loop.run_until_complete(begin())
    # Closed with the task still waiting, as by a program that drops its loop.
    loop.close()
    resolver.gate.set()
    assert slow.wait(LONG) == FOUND
    joined(resolver)
    assert not task.done()
    task._log_destroy_pending = False
    task.get_coro().close()


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=25, check=False
    )


EXIT = """
import asyncio, socket, threading, time
from llmnet.net.dns import lookup
entered = threading.Event()
def getaddrinfo(*args, **options):
    entered.set()
    time.sleep(30)
socket.getaddrinfo = getaddrinfo
async def awaited():
    try:
        await asyncio.wait_for(lookup("silent.example", 443).awaited(), 0.01)
    except TimeoutError:
        print("awaited")
try:
    lookup("silent.example", 443).wait(0.01)
except TimeoutError:
    print("waited")
asyncio.run(awaited())
assert entered.wait(20)
print(time.monotonic())
"""


def test_a_hanging_lookup_does_not_hold_up_the_interpreters_exit():
    done = run(EXIT)
    ended = time.monotonic()
    assert done.stderr == ""
    waited, awaited, leaving = done.stdout.split()
    assert (waited, awaited) == ("waited", "awaited")
    assert ended - float(leaving) < 2


LEAVING = """
import asyncio, socket, threading, time
import llmnet
entered = threading.Event()
def getaddrinfo(*args, **options):
    entered.set()
    time.sleep(60)
socket.getaddrinfo = getaddrinfo
fields = dict(provider="fake", model="m", base_url="http://silent.example/v1", max_retries=0)
fields["timeout"] = llmnet.Timeout(connect=0.1)
def sync():
    with llmnet.Client(**fields) as client:
        client.chat("hi")
async def main():
    async with llmnet.AsyncClient(**fields) as client:
        await client.chat("hi")
try:
    %s
except llmnet.APITimeoutError as error:
    assert error.phase == "connect"
    assert entered.is_set()
    print(time.monotonic())
"""


@pytest.mark.parametrize("call", ["sync()", "asyncio.run(main())"], ids=["sync", "async"])
def test_a_program_that_has_given_up_on_a_name_leaves_at_once(call):
    done = run(LEAVING % call)
    took = time.monotonic() - float(done.stdout)
    print(f"left {took:.3f} s after its last line")  # a second is what is promised; below it is how the machine is
    assert (done.returncode, done.stderr) == (0, "")
    assert took < 5


FORK = """
import os, socket, sys, threading, time
from llmnet.net import dns
entered = threading.Event()
def silent(*args, **options):
    entered.set()
    time.sleep(30)
real, socket.getaddrinfo = socket.getaddrinfo, silent
hanging = dns.lookup("localhost", 80)
assert entered.wait(20)
holder = threading.Thread(target=dns._IN_FLIGHT._lock.acquire)
holder.start()
holder.join()
child = os.fork()
if child == 0:
    socket.getaddrinfo = real
    found = dns.lookup("localhost", 80)
    os._exit(0 if found is not hanging and found.wait(20) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_begins_with_an_empty_table_and_a_free_lock():
    done = run(FORK)
    assert (done.returncode, done.stderr) == (0, "")


def test_tcp_options_can_be_set_and_are_what_was_asked():
    with socket.socket() as sock:
        for level, option, value in TCP_OPTIONS:
            sock.setsockopt(level, option, value)
            actual = sock.getsockopt(level, option)
            assert actual == value if value != 1 else actual
    assert len(TCP_OPTIONS) == 5


def test_tcp_options_of_other_platforms():
    options = sockets._options  # the public table is that of this platform alone
    level = {"SOL_SOCKET": 1, "IPPROTO_TCP": 6}
    macos = {
        **level,
        "SO_KEEPALIVE": 8,
        "TCP_KEEPALIVE": 16,
        "TCP_KEEPINTVL": 257,
        "TCP_KEEPCNT": 258,
        "TCP_NODELAY": 1,
    }
    assert options(macos) == [(1, 8, 1), (6, 16, 60), (6, 257, 30), (6, 258, 5), (6, 1, 1)]
    both = {**macos, "TCP_KEEPIDLE": 4}
    assert options(both)[1:2] == [(6, 4, 60)]
    bare = {**level, "SO_KEEPALIVE": 8, "TCP_NODELAY": 1}
    assert options(bare) == [(1, 8, 1), (6, 1, 1)]


def test_shutdown_wakes_a_reader_and_forgives_a_socket_that_is_gone():
    one, other = socket.socketpair()
    with one, other:
        got, reading = [], threading.Thread(target=lambda: got.append(one.recv(1)), daemon=True)
        reading.start()
        shutdown(one)
        reading.join(LONG)
        assert got == [b""]
        shutdown(one)
    shutdown(one)


def test_shutdown_leaves_the_tls_object_of_a_reader_alone():
    class Secured(socket.socket):
        def shutdown(self, how):
            raise AssertionError("this would drop the TLS object")

    with Secured() as sock:
        shutdown(sock)
