"""What two threads do at one time to what they share: each look and act is met in between, by itself or on purpose."""

import sys
import threading

import pytest
import requests
from support.live import PROMPT, Work, at

import llmnet
from llmnet.config.resolve import resolve
from llmnet.core import secrets
from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import MANY, Lanes
from llmnet.core.secrets import MASK, Secrets
from llmnet.testing import FakeServer, Reply
from llmnet.transports.sync.pool import PlainPool, PoolAdapter

pytestmark = pytest.mark.threads


@pytest.fixture
def hasty():
    """Threads take turns at nearly every step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(function, count):
    """Call a function in so many threads at once; what they gave."""
    start = threading.Barrier(count)

    def run(number):
        start.wait(PROMPT)
        return function(number)

    return [work.result() for work in [Work(run, number) for number in range(count)]]


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5h://127.0.0.1:9"])
def test_a_proxys_pools_are_ours_before_another_thread_sees_them(proxy):
    """Another thread asks while the pools are being made: it waits, or gets what is finished."""
    if proxy.startswith("socks"):
        pytest.importorskip("socksio")
    others = []

    class Watched(PoolAdapter):
        watched = False

        def _classes(self, through=None):
            if self.watched and not others:
                others.append(Work(lambda: self.proxy_manager_for(proxy).pool_classes_by_scheme["http"]))
                others[0].join(0.1)
            return super()._classes(through)  # private: in the midst of making them

    adapter = Watched(1)
    adapter.watched = True
    manager = adapter.proxy_manager_for(proxy)
    assert issubclass(others[0].result(), PlainPool)
    assert adapter.proxy_manager_for(proxy) is manager
    adapter.close()


def test_all_threads_get_the_same_pools(hasty):
    for port in range(1, 30):
        adapter = PoolAdapter(1)
        assert len({id(one) for one in together(lambda _: adapter.proxy_manager_for(f"http://h:{port}"), 6)}) == 1


def test_close_while_others_make_pools(hasty):
    adapter, over = PoolAdapter(1), threading.Event()

    def make(number):
        for port in range(1, 60):
            adapter.proxy_manager_for(f"http://h{number}:{port}").connection_from_url(f"http://o{port}")

    def close():
        while not over.is_set():
            adapter.close()

    closing = Work(close)
    try:
        together(make, 3)
    finally:
        over.set()
    closing.result()


def test_close_does_not_mind_a_pool_that_is_gone_by_then():
    adapter = PoolAdapter(1)
    pools = adapter.poolmanager.pools

    class Evicting(type(pools)):
        def keys(self):
            return {*super().keys(), "gone"}

    adapter.poolmanager.pools = Evicting()
    adapter.poolmanager.connection_from_url("http://h")
    adapter.close()


def test_fresh_keys_from_many_threads(hasty):
    client = Secrets(["the-key-that-stays"])

    def calls(number):
        for n in range(40):
            key, mine = f"renewed-{number}-{n:05}-key", client.also([])
            mine.learn(key)
            assert mine.hide(f"{key} the-key-that-stays") == f"{MASK} {MASK}"

    together(calls, 8)
    assert len(client._newest) == secrets.NEWEST  # private: what is kept is seen nowhere else


def test_the_forms_of_a_key_are_worked_out_once(monkeypatch, server, front):
    made, needles = [], secrets.needles
    monkeypatch.setattr(secrets, "needles", lambda value: made.append(value) or needles(value))
    keys = iter([*["sk-one-0123456789"] * 3, *["sk-two-0123456789"] * 3])
    with front.client(**at(server), api_key=lambda: next(keys)) as client:
        for _ in range(6):
            client.chat("hi")
    assert sorted(key for key in made if key.startswith("sk-")) == ["sk-one-0123456789", "sk-two-0123456789"]


def test_a_call_knows_its_key_however_many_others_came_after_it(front, server):
    keys = iter(f"sk-{n:03}-0123456789" for n in range(99))
    with front.client(**at(server), api_key=lambda: next(keys), max_retries=0) as client:
        server.script(Reply(status=400, body="no sk-000-0123456789", hold="body"))
        late = Work(client.chat, "hi")
        server.wait_for_requests(1)
        for _ in range(2 * secrets.NEWEST):
            client.chat("hi")
        server.release()
        with pytest.raises(llmnet.BadRequestError) as caught:
            late.result()
    assert caught.value.body == f"no {MASK}"


def test_a_gate_that_a_call_still_has_is_found_again():
    """Idle gates are forgotten, but not one that its call may shut the moment after."""
    gates = Lanes()
    mine = gates.get("mine", Gate, 0.0)
    for name in range(5 * MANY):
        gates.get(name, Gate, 0.0)
    mine.shut(until=9.0, step=1.0)
    assert gates.get("mine", Gate, 0.0) is mine


def test_a_servers_reset_waits_for_what_is_being_counted():
    server = FakeServer()
    with server._arrived:  # private: held as while a request is counted
        resetting = Work(server.reset)
        resetting.join(0.05)
        assert resetting.is_alive()
    resetting.result()


def test_the_first_calls_of_many_threads(front, server, hasty):
    with front.client(**at(server)) as client:
        assert together(lambda number: client.chat(f"n{number}").content, 8) == [f"n{number}" for number in range(8)]
        assert len(client.stats) == 1
        assert client.request_count == client.stats.calls == 8


def test_a_session_behind_a_proxy_is_one_for_all_threads(hasty):
    session = llmnet.create_session()
    adapter = session.get_adapter("http://h")
    assert len({id(one) for one in together(lambda _: adapter.proxy_manager_for("http://p:1"), 8)}) == 1
    assert isinstance(session, requests.Session)
    session.close()


def test_a_variable_that_another_thread_takes_away_meanwhile():
    class Losing(dict):
        def __iter__(self):
            yield from ("gone_proxy", "http_proxy")

    found = resolve(llmnet.ClientConfig(provider="fake"), Losing(http_proxy="http://user:password-1@h"))
    assert "password-1" in found.secrets
