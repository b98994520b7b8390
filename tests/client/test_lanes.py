"""Gates and buckets are kept by what callers have in common, and forgotten once nobody is held back by them."""

import gc

import pytest
from support.fronts import virtual
from support.inside import common_of
from support.replies import form

import llmnet
from llmnet.client.shared import Routes, Shared
from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import MANY, MOST, Bucket, Lanes
from llmnet.core.http import Request
from llmnet.core.secrets import Secrets
from llmnet.testing import Reply

pytestmark = pytest.mark.threads

THROTTLE = Reply(status=429, headers={"retry-after": "7"})


def names_after(lanes, new, count, now=100.0):
    for name in range(count):
        lanes.get(name, new, now)
    return len(list(lanes))


@pytest.mark.parametrize("new", [Gate, lambda: Bucket(10.0)], ids=["gate", "bucket"])
def test_of_many_lanes_the_idle_ones_are_forgotten(new):
    assert names_after(Lanes(), new, 20 * MANY + 7) <= MANY


def test_a_lane_that_holds_somebody_back_is_kept():
    gates, buckets = Lanes(), Lanes()
    shut, drained = gates.get("shut", Gate, 0.0), buckets.get("drained", lambda: Bucket(10.0), 0.0)
    shut.shut(until=101.0, step=1.0)
    assert drained.take(1.0)
    names_after(gates, Gate, 5 * MANY)
    names_after(buckets, lambda: Bucket(10.0), 5 * MANY)
    assert gates.get("shut", Gate, 100.0) is shut
    assert buckets.get("drained", lambda: Bucket(10.0), 100.0) is drained


def test_of_very_many_that_hold_somebody_back_the_oldest_is_forgotten():
    def drained():
        bucket = Bucket(10.0)
        assert bucket.take(1.0)
        return bucket

    lanes = Lanes()
    first = lanes.get("asked for again and again", drained, 0.0)
    for name in range(MOST + 100):
        lanes.get(name, drained, 0.0)
        assert lanes.get("asked for again and again", drained, 0.0) is first
    assert len(list(lanes)) == MOST


@pytest.mark.parametrize("callers", [0, 1, 50])
def test_a_gate_is_idle_once_the_last_number_has_passed(callers):
    gate = Gate()
    assert gate.idle(0.0)
    gate.shut(until=10.0, step=2.0)
    last = max([10.0, *(gate.next_turn(1.0) for _ in range(callers))])
    assert not gate.idle(last - 0.001)
    assert gate.idle(last)


def test_many_lanes_in_use_are_not_searched_for_each_new_one():
    """The table is looked through only when it has doubled, or thousands of shut gates would cost a search a call."""
    asked = []

    class Busy(Gate):
        def idle(self, now):
            asked.append(now)
            return False

    names_after(Lanes(), Busy, 8 * MANY)
    assert len(asked) <= 8 * MANY


def header(name):
    return [{"extra_headers": {name: f"Bearer {whose}"}} for whose in ("mine", "other")]


OWN = {
    "Authorization": header("Authorization"),
    "x-api-key": header("x-api-key"),
    "api-key": header("api-key"),
    "query": [{"extra_query": {"key": f"the key that is {whose}"}} for whose in ("mine", "other")],
    "model": [{"model": "mine"}, {"model": "other"}],
    "tier": [{"service_tier": "mine"}, {"service_tier": "other"}],
}


@pytest.mark.parametrize("how", OWN)
def test_a_credential_a_model_and_a_tier_have_gates_of_their_own(server, how):
    at_once = llmnet.RetryPolicy(max_throttle_wait=1)
    with llmnet.Client("fake:m", base_url=server.url + "/v1", retry=at_once) as client:
        time = virtual(client)
        mine, other = OWN[how]
        server.script(THROTTLE)
        with pytest.raises(llmnet.RateLimitError):
            client.chat("Hi", **mine)
        client.chat("Hi", **other)
        client.chat("Hi")
        assert time.sleeps == []
        client.chat("Hi", **mine)
        assert len(time.sleeps) == 1
        assert time.sleeps[0] >= 7.0


def test_a_route_is_kept_for_calls_that_go_the_same_way_alone():
    routes, request = Routes(Shared(1), None, None, Secrets()), Request(method="POST", url="")
    usual, alike, elsewhere = form(), form(), form(base_url="https://other.test/v1")

    def found(own):
        return routes.find(own, request, ("m",), {}, (), 0.0)

    assert found(usual) is found(usual)
    assert [found(one).form for one in (usual, alike, elsewhere)] == [usual, alike, elsewhere]
    assert found(usual).gate is found(alike).gate is not found(elsewhere).gate


def test_calls_that_are_over_are_not_kept_in_mind(server):
    with llmnet.Client("fake:m", base_url=server.url + "/v1") as client:
        for _ in range(3):
            client.chat("Hi")
        client.stream_chat("Hi").close()
        gc.collect()
        assert not common_of(client)._live  # private: it would grow with every call
