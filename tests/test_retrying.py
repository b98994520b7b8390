"""`with_retry` and `retry_with_backoff`: what is repeated, after how long, and that nothing else is touched."""

import asyncio
import collections
import functools
import http
import inspect
import logging
import pathlib
import random
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import urllib.error
from datetime import timedelta

import httpx
import openai
import pytest
import requests
import tenacity
import urllib3
from support.chance import Highest, Lowest
from support.fronts import VirtualTime, virtual

import llmnet
from llmnet import ConfigurationError, retry_with_backoff, with_retry
from llmnet.transports.aio.wait import AsyncWait
from llmnet.transports.generic import GenericCall
from llmnet.transports.sync.wait import SyncWait


@pytest.fixture(autouse=True)
def time(monkeypatch):
    """Virtual time: nothing here really sleeps."""
    time = VirtualTime()

    async def asleep(self, seconds, call):
        time.pass_(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(SyncWait, "sleep", lambda self, seconds, call: time.pass_(seconds))
    monkeypatch.setattr(AsyncWait, "sleep", asleep)
    monkeypatch.setattr(SyncWait, "clock", staticmethod(time.clock))
    monkeypatch.setattr(SyncWait, "wall", staticmethod(lambda: 1_700_000_000.0))
    dice(monkeypatch, Highest)
    return time


def dice(monkeypatch, kind):
    monkeypatch.setattr(GenericCall, "chance", staticmethod(kind))


class Function:
    """Does, call by call, what its script says: raises exceptions, returns all else; the last word holds for ever."""

    def __init__(self, *script):
        self.script, self.calls = list(script), 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        outcome = self.script[min(self.calls, len(self.script)) - 1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class StatusError(Exception):
    def __init__(self, status_code, **headers):
        super().__init__(status_code)
        self.status_code = status_code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class RateLimitError(Exception):
    """The class of BRIEF S6, as people write it."""

    def __init__(self, retry_after=None, status_code=None):
        super().__init__("slow down")
        self.retry_after = retry_after
        if status_code is not None:
            self.status_code = status_code


def asynchronous(function):
    async def coroutine_function(*args, **kwargs):
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return coroutine_function


def outcome(run):
    try:
        return run()
    except BaseException as error:
        return error


def run_decorated(function, *args, **options):
    return outcome(with_retry(*args, **options)(function))


def run_decorated_async(function, *args, **options):
    async def main():
        try:
            return await with_retry(*args, **options)(asynchronous(function))()
        except BaseException as error:
            return error

    return asyncio.run(main())


def run_helper(function, *args, **options):
    options.pop("retry_on", None)
    return outcome(lambda: retry_with_backoff(function, *args, **options))


def run_helper_async(function, *args, **options):
    async def main():
        try:
            return await retry_with_backoff(asynchronous(function), *args, **options)
        except BaseException as error:
            return error

    return asyncio.run(main())


def run_helper_with_lambda(function, *args, **options):
    async def main():
        inner = asynchronous(function)
        try:
            return await retry_with_backoff(lambda: inner("given"), *args, **options)
        except BaseException as error:
            return error

    return asyncio.run(main())


RUNS = {
    "with_retry": run_decorated,
    "with_retry, async": run_decorated_async,
    "retry_with_backoff": run_helper,
    "retry_with_backoff, async": run_helper_async,
    "retry_with_backoff, a lambda that gives a coroutine": run_helper_with_lambda,
}


@pytest.fixture(params=RUNS.values(), ids=RUNS)
def run(request):
    return request.param


# -- how often, and after how long -----------------------------------------------------------------------------------


def test_a_success_is_called_once(run, time):
    function = Function("fine")
    assert run(function) == "fine"
    assert (function.calls, time.sleeps) == (1, [])


def test_it_is_called_until_it_succeeds(run, time):
    function = Function(ConnectionError("gone"), TimeoutError("slow"), "fine")
    assert run(function) == "fine"
    assert (function.calls, time.sleeps) == (3, [1.0, 2.0])


@pytest.mark.parametrize("attempts", [1, 2, 3, 7])
def test_the_last_error_itself_is_raised_after_exactly_so_many_calls(run, time, attempts):
    errors = [ConnectionError(str(n)) for n in range(9)]
    function = Function(*errors)
    assert run(function, attempts) is errors[attempts - 1]
    assert function.calls == attempts
    assert len(time.sleeps) == attempts - 1


def test_the_backoff_doubles_up_to_its_ceiling(run, time):
    run(Function(ConnectionError()), 6, base_delay=0.5, max_delay=3.0)
    assert time.sleeps == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_the_defaults_are_those_of_the_brief(time):
    run_decorated(Function(ConnectionError()), 6)
    assert time.sleeps == [1.0, 2.0, 4.0, 8.0, 10.0]
    time.sleeps.clear()
    run_helper(Function(ConnectionError()), 9)
    assert time.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_the_backoff_is_drawn_from_below_its_ceiling(run, time, monkeypatch):
    dice(monkeypatch, lambda: random.Random(7))
    run(Function(ConnectionError()), 40)
    assert len({*time.sleeps}) > 30
    assert all(0 <= wait <= 60 for wait in time.sleeps)
    assert time.sleeps[0] <= 1.0


def test_more_attempts_than_a_stack_is_deep(run):
    function = Function(*[ConnectionError()] * 2999, "fine")
    assert run(function, 3000, base_delay=0.001, max_delay=0.001) == "fine"


# -- Retry-After -----------------------------------------------------------------------------------------------------


def requests_error(status, **headers):
    response = requests.Response()
    response.status_code = status
    response.headers.update(hyphenated(headers))
    return requests.HTTPError("refused", response=response)


def httpx_response(status, **headers):
    return httpx.Response(status, headers=hyphenated(headers), request=httpx.Request("GET", "http://h"))


def httpx_error(status, **headers):
    response = httpx_response(status, **headers)
    return httpx.HTTPStatusError("refused", request=response.request, response=response)


def openai_error(status, **headers):
    cls = openai.RateLimitError if status == 429 else openai.InternalServerError
    return cls("refused", response=httpx_response(status, **headers), body=None)


def as_of(module, name):
    """An exception as a library makes it that is not installed for the tests."""
    return type(name, (Exception,), {"__module__": module})()


def aiohttp_error(status, **headers):
    error = as_of("aiohttp.client_exceptions", "ClientResponseError")
    error.status, error.headers = status, hyphenated(headers)
    return error


def urllib_error(status, **headers):
    return urllib.error.HTTPError("http://h", status, "refused", hyphenated(headers), None)


def llmnet_error(status, **headers):
    cls = llmnet.RateLimitError if status == 429 else llmnet.ServerError
    meta = llmnet.Meta(headers=llmnet.core.http.Headers(hyphenated(headers)))
    return cls("refused", status=status, http_status=status, meta=meta)


def hyphenated(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


MAKERS = {
    "requests": requests_error, "httpx": httpx_error, "openai": openai_error, "aiohttp": aiohttp_error,
    "urllib": urllib_error, "llmnet": llmnet_error, "the user's own": StatusError,
}  # fmt: skip
HINTS = {
    "seconds": ({"retry_after": "7"}, 7.0),
    "a fraction": ({"retry_after": "2.5"}, 2.5),
    "milliseconds": ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
    "a date": ({"retry_after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
    "a date by the server's clock": (
        {"retry_after": "Wed, 21 Oct 2015 07:28:05 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"},
        5.0,
    ),
}


@pytest.mark.parametrize("hint", HINTS.values(), ids=HINTS)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_retry_after_is_obeyed_wherever_it_is_found(time, monkeypatch, make, hint):
    headers, seconds = hint
    dice(monkeypatch, Lowest)
    assert run_decorated(Function(make(429, **headers), make(503, **headers), "fine")) == "fine"
    assert time.sleeps == [seconds] * 2


def test_retry_after_is_never_undercut(run, time, monkeypatch):
    dice(monkeypatch, lambda: random.Random(3))
    run(Function(StatusError(429, retry_after="30")), 20)
    assert len(time.sleeps) == 19
    assert all(30 <= wait <= 34 for wait in time.sleeps)


def test_a_longer_retry_after_than_two_minutes_is_not_waited_for(run, time):
    error = StatusError(429, retry_after="121")
    function = Function(error, "fine")
    assert run(function) is error
    assert (function.calls, time.sleeps) == (1, [])
    assert run(Function(StatusError(429, retry_after="120"), "fine")) == "fine"


@pytest.mark.parametrize("garbage", ["soon", "", "-1", "nan", "inf", "1e400", "٣"])
def test_a_retry_after_that_says_nothing_is_none(run, time, garbage):
    assert run(Function(StatusError(503, retry_after=garbage), "fine")) == "fine"
    assert time.sleeps == [1.0]


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (3, 3.0), (0.25, 0.25), ("4", 4.0), ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0), (timedelta(minutes=1), 60.0),
        (0, 0.0), (-5, 0.0), ("soon", 0.0), (float("nan"), 0.0), (True, 0.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status_code", [429, None], ids=["with status_code", "without"])
def test_a_rate_limit_error_of_the_users_own(time, monkeypatch, retry_after, seconds, status_code):
    """BRIEF S6: an exception that says when to come back, in whichever form."""
    dice(monkeypatch, Lowest)
    assert run_decorated(Function(RateLimitError(retry_after, status_code), "fine")) == "fine"
    assert time.sleeps == [seconds]


def test_a_rate_limit_error_without_status_and_time_says_nothing(run):
    function = Function(RateLimitError())
    assert isinstance(run(function), RateLimitError)
    assert function.calls == 1


def test_llmnets_own_rate_limit_error_may_be_raised_by_hand(run, time, monkeypatch):
    dice(monkeypatch, Lowest)
    error = llmnet.RateLimitError("slow", retry_after=6)
    assert run(Function(error, "fine")) == "fine"
    assert time.sleeps == [6.0]


# -- what is repeated -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("status", sorted(llmnet.core.retry.RETRY_STATUSES))
def test_retryable_statuses_are_repeated(make, status):
    assert run_decorated(Function(make(status), "fine")) == "fine"


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501])
def test_what_the_request_is_to_blame_for_is_not(time, make, status):
    error = make(status)
    function = Function(error, "fine")
    assert run_decorated(function) is error
    assert (function.calls, time.sleeps) == (1, [])


@pytest.mark.parametrize(
    ("status", "advice", "calls"), [(503, "false", 1), (400, "true", 3), (429, "FALSE ", 1), (400, "perhaps", 1)]
)
def test_the_servers_advice_outweighs_the_status(run, status, advice, calls):
    function = Function(httpx_error(status, x_should_retry=advice))
    run(function)
    assert function.calls == calls


def cert_error():
    return ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")


def caused(error, cause):
    error.__cause__ = cause
    return error


REQUEST = httpx.Request("GET", "http://h")
POOL = urllib3.HTTPConnectionPool("h")
NETWORK = {
    "builtin connection": ConnectionResetError(104, "reset"),
    "builtin timeout": TimeoutError("timed out"),
    "refused": ConnectionRefusedError(111, "refused"),
    "broken pipe": BrokenPipeError(32, "pipe"),
    "remote disconnected": http.client.RemoteDisconnected("gone"),
    "incomplete read": http.client.IncompleteRead(b"half", 9),
    "incomplete read of asyncio": asyncio.IncompleteReadError(b"", 3),
    "no route": OSError(113, "No route to host"),
    "unreachable": OSError(101, "Network is unreachable"),
    "dns for now": socket.gaierror(socket.EAI_AGAIN, "try again"),
    "tls eof": ssl.SSLEOFError(8, "EOF in violation of protocol"),
    "urllib": urllib.error.URLError(ConnectionRefusedError(111, "refused")),
    "requests connection": requests.ConnectionError("gone"),
    "requests read timeout": requests.ReadTimeout("slow"),
    "requests connect timeout": requests.ConnectTimeout("slow"),
    "requests chunks": requests.exceptions.ChunkedEncodingError("cut"),
    "requests proxy": requests.exceptions.ProxyError("Cannot connect to proxy"),
    "requests tls": requests.exceptions.SSLError("EOF"),
    "urllib3 protocol": urllib3.exceptions.ProtocolError("aborted"),
    "urllib3 new connection": urllib3.exceptions.NewConnectionError(None, "refused"),
    "urllib3 read timeout": urllib3.exceptions.ReadTimeoutError(POOL, "/", "slow"),
    "urllib3 max retries": urllib3.exceptions.MaxRetryError(POOL, "/", ConnectionResetError()),
    "httpx connect": httpx.ConnectError("refused"),
    "httpx read": httpx.ReadError("reset"),
    "httpx protocol": httpx.RemoteProtocolError("Server disconnected"),
    "httpx timeout": httpx.ReadTimeout("slow"),
    "httpx pool": httpx.PoolTimeout("full"),
    "aiohttp disconnected": as_of("aiohttp.client_exceptions", "ClientConnectionError"),
    "aiohttp payload": as_of("aiohttp.client_exceptions", "ClientPayloadError"),
    "openai connection": openai.APIConnectionError(request=REQUEST),
    "openai timeout": openai.APITimeoutError(request=REQUEST),
    "llmnet by hand": llmnet.APIConnectionError("gone"),
}


@pytest.mark.parametrize("error", NETWORK.values(), ids=NETWORK)
def test_network_errors_are_repeated_whoever_raises_them(run, error):
    assert run(Function(error, error, "fine")) == "fine"


FINAL = {
    "a certificate": cert_error(),
    "requests, a certificate": requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(POOL, "/", urllib3.exceptions.SSLError(cert_error()))
    ),
    "httpx, a certificate": caused(httpx.ConnectError("certificate verify failed"), cert_error()),
    "urllib, a certificate": urllib.error.URLError(cert_error()),
    "urllib3, a certificate": urllib3.exceptions.SSLError(cert_error()),
    "aiohttp, a certificate": caused(as_of("aiohttp", "ClientConnectionError"), cert_error()),
    "no such name": socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "a proxy that wants a password": requests.exceptions.ProxyError("Tunnel connection failed: 407 Authenticate"),
    "no such scheme": httpx.UnsupportedProtocol("ftp"),
    "an illegal header": httpx.LocalProtocolError("Illegal header value"),
    "a bad URL": requests.exceptions.InvalidURL("?"),
    "a bad URL of httpx": httpx.InvalidURL("?"),
    "too many redirects": requests.TooManyRedirects("30"),
    "broken JSON": requests.exceptions.JSONDecodeError("no", "{", 0),
    "a file": FileNotFoundError(2, "no such file"),
    "a right": PermissionError(13, "denied"),
    "a value": ValueError("bad"),
    "a bug": AttributeError("status_code"),
    "our own": ConfigurationError("bad argument"),
    "a spent quota": llmnet.QuotaExceededError("money", status=429, http_status=429),
    "a status that is none": type("Job", (Exception,), {"status": "failed", "status_code": True})(),
    "a small number": type("Exit", (Exception,), {"status": 2})(),
    "a status that is fine": type("Odd", (Exception,), {"status_code": 200})(),
}


@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
def test_all_else_passes_at_once(run, time, error):
    function = Function(error, "fine")
    assert run(function) is error
    assert (function.calls, time.sleeps) == (1, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
@pytest.mark.parametrize("names", ["with_retry", "retry_with_backoff"])
def test_what_is_no_failure_passes_at_once(names, error):
    function = Function(error, "fine")
    assert RUNS[names](function) is error
    assert function.calls == 1


async def test_a_cancelled_task_ends_at_once(time):
    started, calls = asyncio.Event(), 0

    @with_retry(retry_on=Exception)
    async def hang():
        nonlocal calls
        calls += 1
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (calls, time.sleeps) == (1, [])


async def test_a_task_cancelled_in_its_sleep_ends_at_once(monkeypatch):
    asleep = asyncio.Event()

    async def sleep(self, seconds, call):
        asleep.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(AsyncWait, "sleep", sleep)
    function = Function(ConnectionError())
    task = asyncio.create_task(with_retry()(asynchronous(function))())
    await asleep.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert function.calls == 1


class Mine(Exception):
    pass


class MineToo(Mine):
    status_code = 400


@pytest.mark.parametrize("error", [Mine(), MineToo()])
@pytest.mark.parametrize("retry_on", [Mine, (KeyError, Mine), Exception])
@pytest.mark.parametrize("names", ["with_retry", "with_retry, async"])
def test_the_types_in_retry_on_are_repeated_whatever_they_say(names, retry_on, error):
    assert RUNS[names](Function(error, error, "fine"), retry_on=retry_on) == "fine"


def test_a_type_in_retry_on_may_say_when_and_is_not_overruled(time, monkeypatch):
    dice(monkeypatch, Lowest)
    error = httpx_error(404, retry_after="9", x_should_retry="false")
    assert run_decorated(Function(error, "fine"), retry_on=httpx.HTTPStatusError) == "fine"
    assert time.sleeps == [9.0]


def test_try_again_of_tenacity_ends_too(run):
    function = Function(tenacity.TryAgain())
    assert isinstance(run(function), tenacity.TryAgain)
    assert function.calls == 3


# -- errors of our own clients ------------------------------------------------------------------------------------------


def test_what_a_client_has_repeated_is_not_repeated_again(server, time):
    server.handler = lambda _: 500
    with llmnet.Client("openai:m", base_url=server.url + "/v1", max_retries=1) as client:
        virtual(client)
        ask = with_retry(5, retry_on=llmnet.ServerError)(lambda: client.chat("Hi"))
        with pytest.raises(llmnet.ServerError):
            ask()
    assert (server.request_count, time.sleeps) == (2, [])


def test_unless_it_repeats_nothing(server, time):
    server.script(503, 429, "fine")
    with llmnet.Client("openai:m", base_url=server.url + "/v1", max_retries=0) as client:
        ask = with_retry()(lambda: client.chat("Hi").content)
        assert ask() == "fine"
    assert server.request_count == 3
    assert len(time.sleeps) == 2


async def test_the_same_of_the_async_client(server, time):
    server.script(503, 503, 503, "fine")
    async with llmnet.AsyncClient("openai:m", base_url=server.url + "/v1", max_retries=0) as client:
        assert (await retry_with_backoff(lambda: client.chat("Hi"), 4)).content == "fine"
    assert server.request_count == 4


def test_the_error_of_a_client_keeps_its_facts(server):
    server.handler = lambda _: llmnet.testing.Reply(status=429, headers={"x-request-id": "req-1"})
    client = llmnet.Client("openai:m", base_url=server.url + "/v1", max_retries=0)
    with client, pytest.raises(llmnet.RateLimitError) as caught:
        with_retry(2)(lambda: client.chat("Hi"))()
    assert caught.value.meta.headers["x-request-id"] == caught.value.request_id == "req-1"
    assert len(caught.value.meta.attempts) == 1


def test_a_clients_error_in_the_users_clothes_is_not_repeated_either(run):
    error = caused(ConnectionError("the model cannot be reached"), llmnet.APIConnectionError("gone", repeated=True))
    function = Function(error)
    assert run(function) is error
    assert function.calls == 1


def test_an_error_that_is_made_in_its_own_way_is_judged_too(run):
    class Special(llmnet.ServerError):
        def __init__(self, a, b):
            super().__init__(f"{a} {b}", status=500, http_status=500)

    assert run(Function(Special(1, 2), "fine")) == "fine"


# -- returned responses -----------------------------------------------------------------------------------------------


def requests_response(status, **headers):
    return requests_error(status, **headers).response


def duck_response(status, **headers):
    return type("Response", (), {"status_code": status, "headers": hyphenated(headers)})()


RESPONSES = {"requests": requests_response, "httpx": httpx_response, "a duck": duck_response}
HELPERS = [name for name in RUNS if name.startswith("retry_with_backoff")]


@pytest.fixture(params=HELPERS)
def helper(request):
    return RUNS[request.param]


@pytest.mark.parametrize("make", RESPONSES.values(), ids=RESPONSES)
def test_a_returned_status_is_repeated(helper, time, monkeypatch, make):
    dice(monkeypatch, Lowest)
    fine = make(200)
    function = Function(make(503, retry_after="4"), make(429), fine)
    assert helper(function) is fine
    assert time.sleeps == [4.0, 0.0]


@pytest.mark.parametrize("make", RESPONSES.values(), ids=RESPONSES)
def test_the_last_response_is_returned_as_it_is(helper, make):
    responses = [make(500), make(502), make(503)]
    function = Function(*responses)
    assert helper(function) is responses[2]
    assert function.calls == 3


@pytest.mark.parametrize("make", RESPONSES.values(), ids=RESPONSES)
@pytest.mark.parametrize("status", [200, 202, 304, 400, 401, 404, 422])
def test_other_statuses_are_returned_at_once(helper, make, status):
    response = make(status, retry_after="3")
    function = Function(response)
    assert helper(function) is response
    assert function.calls == 1


def test_the_statuses_can_be_chosen(helper):
    assert helper(Function(httpx_response(418), "fine"), retryable_status_codes={418}) == "fine"
    assert helper(Function(StatusError(418), "fine"), retryable_status_codes=[http.HTTPStatus(418)]) == "fine"
    refused = httpx_response(503)
    assert helper(Function(refused, "fine"), retryable_status_codes=frozenset({429})) is refused


def test_a_decorated_function_may_return_what_it_likes(time):
    refused = httpx_response(503)
    assert run_decorated(Function(refused)) is refused
    assert run_decorated_async(Function(refused)) is refused


@pytest.mark.parametrize("value", [None, 0, 503, "503", b"", [], {"status_code": 503}, object()])
def test_what_is_no_response_is_a_result(helper, value):
    function = Function(value)
    assert helper(function) is value
    assert function.calls == 1


# -- what a decorated function still is -----------------------------------------------------------------------------


def test_name_signature_docstring_and_annotations_are_kept():
    @with_retry()
    def fetch(url: str, *, deep: bool = False) -> bytes:
        """Fetch it."""
        return b""

    @with_retry()
    async def fetch_async(url: str) -> bytes:
        """Fetch it."""
        return b""

    assert (fetch.__name__, fetch.__doc__, str(inspect.signature(fetch))) == (
        "fetch", "Fetch it.", "(url: str, *, deep: bool = False) -> bytes",
    )  # fmt: skip
    assert fetch.__annotations__["url"] is str
    assert inspect.iscoroutinefunction(fetch_async)
    assert not inspect.iscoroutinefunction(fetch)
    assert str(inspect.signature(fetch_async)) == "(url: str) -> bytes"


def test_arguments_go_through():
    @with_retry()
    def echo(*args, **kwargs):
        return args, kwargs

    assert echo(1, function=2, judge=3, self=4) == ((1,), {"function": 2, "judge": 3, "self": 4})


def test_methods_of_every_kind():
    class Service:
        calls = collections.Counter()

        @with_retry()
        def plain(self, word):
            return self._fail_once("plain") + word

        @with_retry()
        async def awaited(self, word):
            return self._fail_once("awaited") + word

        @classmethod
        @with_retry()
        def of_the_class(cls, word):
            return cls()._fail_once("class") + word

        @staticmethod
        @with_retry()
        def of_nobody(word):
            return Service()._fail_once("static") + word

        @property
        @with_retry()
        def value(self):
            return self._fail_once("value")

        def _fail_once(self, name):
            self.calls[name] += 1
            if self.calls[name] == 1:
                raise ConnectionError(name)
            return name

    service = Service()
    assert service.plain("!") == "plain!"
    assert asyncio.run(service.awaited("!")) == "awaited!"
    assert service.of_the_class("!") == Service.of_the_class("!") == "class!"
    assert service.of_nobody("!") == "static!"
    assert service.value == "value"
    assert service.calls["value"] == 2


def test_partials_and_callable_objects():
    function = Function(ConnectionError(), "fine")
    assert with_retry()(functools.partial(function, 1, two=2))() == "fine"
    assert retry_with_backoff(functools.partial(Function(ConnectionError(), "fine"), 1)) == "fine"

    class Awaited:
        calls = 0

        async def __call__(self):
            self.calls += 1
            if self.calls == 1:
                raise ConnectionError
            return "fine"

    assert asyncio.run(with_retry()(Awaited())()) == "fine"
    assert asyncio.run(retry_with_backoff(Awaited())) == "fine"
    assert (
        asyncio.run(retry_with_backoff(functools.partial(asynchronous(Function(ConnectionError(), "fine"))))) == "fine"
    )


def test_a_function_that_gives_coroutines_is_driven_by_whoever_awaits_them():
    function = Function(ConnectionError(), ConnectionError(), "fine")
    inner = asynchronous(function)

    @with_retry()
    def plain():
        return inner()

    async def main():
        waiting = plain()
        assert function.calls == 0
        return await waiting

    assert asyncio.run(main()) == "fine"


def test_a_task_stays_a_task():
    async def main():
        task = with_retry()(lambda: asyncio.get_running_loop().create_task(asyncio.sleep(0, "fine")))()
        assert isinstance(task, asyncio.Task)
        return await task

    assert asyncio.run(main()) == "fine"


def test_decorators_can_be_stacked():
    function = Function(ConnectionError(), ConnectionError(), ConnectionError(), "fine")
    assert with_retry(2)(with_retry(2)(function))() == "fine"


# -- refusals -------------------------------------------------------------------------------------------------------


def generator():
    yield


async def async_generator():
    yield


class CallableGenerator:
    def __call__(self):
        yield


@pytest.mark.parametrize("function", [generator, async_generator, functools.partial(generator), CallableGenerator()])
def test_generators_are_refused(function):
    with pytest.raises(ConfigurationError, match="generator"):
        with_retry()(function)
    with pytest.raises(ConfigurationError, match="generator"):
        retry_with_backoff(function)


def test_the_bare_decorator_is_refused():
    with pytest.raises(ConfigurationError, match=r"@with_retry\(\)"):

        @with_retry
        def function():
            pass


@pytest.mark.parametrize("function", [None, 3, "fetch", classmethod(generator)])
def test_what_is_no_function_is_refused(function):
    with pytest.raises(ConfigurationError):
        with_retry()(function)
    with pytest.raises(ConfigurationError):
        retry_with_backoff(function)


def test_a_coroutine_is_no_function():
    coroutine = asynchronous(len)()
    with pytest.raises(ConfigurationError, match="coroutine"):
        retry_with_backoff(coroutine)
    coroutine.close()


BAD = [
    {"max_attempts": 0}, {"max_attempts": -1}, {"max_attempts": 2.0}, {"max_attempts": True}, {"max_attempts": "3"},
    {"max_attempts": None}, {"base_delay": 0}, {"base_delay": -1}, {"base_delay": "1"}, {"base_delay": float("nan")},
    {"base_delay": None}, {"max_delay": 0}, {"max_delay": True}, {"max_delay": None},
]  # fmt: skip


@pytest.mark.parametrize("options", BAD, ids=str)
def test_bad_arguments_are_refused_before_any_call(options):
    function = Function("fine")
    with pytest.raises(ConfigurationError):
        with_retry(**options)
    with pytest.raises(ConfigurationError):
        retry_with_backoff(function, **options)
    assert function.calls == 0


@pytest.mark.parametrize(
    "retry_on", [ConnectionError(), "ConnectionError", [OSError], (OSError, 3), KeyboardInterrupt, 5]
)
def test_retry_on_takes_exception_types(retry_on):
    with pytest.raises(ConfigurationError, match="retry_on"):
        with_retry(retry_on=retry_on)


@pytest.mark.parametrize("codes", [429, "429", {"429"}, None, [4.29], [True]])
def test_retryable_status_codes_are_numbers(codes):
    with pytest.raises(ConfigurationError, match="status"):
        retry_with_backoff(Function("fine"), retryable_status_codes=codes)


# -- the log ----------------------------------------------------------------------------------------------------------


def test_each_sleep_is_logged_before(run, time, caplog, monkeypatch):
    order = []
    monkeypatch.setattr(time, "pass_", lambda seconds: order.append(len(caplog.records)))
    with caplog.at_level(logging.WARNING, "llmnet"):
        run(Function(ConnectionError("sk-secret"), StatusError(503), "fine"))
    assert order == [1, 2]
    first, second = (record.getMessage() for record in caplog.records)
    assert {record.name for record in caplog.records} == {"llmnet"}
    assert "call 1 of 3 ended in ConnectionError" in first
    assert "1.00 s" in first
    assert "StatusError" in second
    assert "sk-secret" not in caplog.text


def test_nothing_is_logged_where_nothing_is_slept(run, caplog):
    run(Function("fine"))
    run(Function(ValueError()))
    run(Function(ConnectionError()), 1)
    assert caplog.records == []


def test_the_log_names_the_function_and_a_returned_status(caplog):
    def fetch_the_page():
        return Function(httpx_response(503), "fine")

    retry_with_backoff(functools.partial(fetch_the_page()))
    with_retry()(functools.wraps(fetch_the_page)(Function(ConnectionError(), "fine")))()
    assert "Function: call 1 of 3 ended in HTTP 503" in caplog.text
    assert "fetch_the_page: call 1 of 3" in caplog.text


def test_the_log_says_of_each_call_what_it_ended_in(run, time, caplog):
    """Of tenacity's own `TryAgain` the policy is not asked."""
    run(Function(tenacity.TryAgain(), ConnectionError(), tenacity.TryAgain(), "fine"), 4)
    assert [vars(one)["error.type"] for one in caplog.records] == ["TryAgain", "ConnectionError", "TryAgain"]


# -- concurrency --------------------------------------------------------------------------------------------------


class Counted:
    """Fails so many times for each key, and counts by key."""

    def __init__(self, failures):
        self.failures, self.calls, self.lock = failures, collections.Counter(), threading.Lock()

    def __call__(self, key):
        with self.lock:
            self.calls[key] += 1
            n = self.calls[key]
        if n <= self.failures(key):
            raise ConnectionError(key)
        return key


def test_fifty_threads_have_states_of_their_own():
    counted = Counted(lambda key: key % 4)
    function = with_retry(3)(counted)
    results = {}

    def work(key):
        results[key] = outcome(lambda: function(key))

    threads = [threading.Thread(target=work, args=(key,), daemon=True) for key in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.calls == {key: min(key % 4 + 1, 3) for key in range(50)}
    assert all(results[key] == key if key % 4 < 3 else isinstance(results[key], ConnectionError) for key in range(50))


async def test_two_hundred_tasks_have_states_of_their_own():
    counted = Counted(lambda key: key % 4)
    function = with_retry(3)(asynchronous(counted))
    results = await asyncio.gather(*(function(key) for key in range(200)), return_exceptions=True)
    assert counted.calls == {key: min(key % 4 + 1, 3) for key in range(200)}
    assert all(
        result == key if key % 4 < 3 else isinstance(result, ConnectionError) for key, result in enumerate(results)
    )


# -- the seams themselves ---------------------------------------------------------------------------------------------


def test_time_really_passes_where_nobody_virtualises_it(monkeypatch):
    import time as real

    monkeypatch.undo()
    began = real.monotonic()
    assert retry_with_backoff(Function(StatusError(503, retry_after="0.05"), "fine"), base_delay=0.001) == "fine"
    assert 0.05 <= real.monotonic() - began < 5


def test_tenacity_is_loaded_on_use():
    program = """
        import sys, llmnet
        decorated = llmnet.with_retry()(lambda: 1)
        assert not {"tenacity", "requests", "httpx", "asyncio"} & set(sys.modules)
        assert decorated() == 1
        assert "tenacity" in sys.modules
        assert not {"requests", "urllib3", "httpx"} & set(sys.modules)
    """
    root = pathlib.Path(llmnet.__file__).parent.parent
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60, cwd=root)


TYPED = """
import llmnet

@llmnet.with_retry(max_attempts=2)
def fetch(url: str, *, deep: bool = False) -> bytes:
    return b""

@llmnet.with_retry(retry_on=(KeyError, ValueError))
async def fetch_async(url: str) -> bytes:
    return b""

class Service:
    @llmnet.with_retry()
    def ask(self, question: str) -> int:
        return 1

async def main() -> None:
    one: bytes = fetch("u", deep=True)
    two: bytes = await fetch_async("u")
    three: int = Service().ask("q")
    four: int = llmnet.retry_with_backoff(lambda: 4)
    five: bytes = await llmnet.retry_with_backoff(lambda: fetch_async("u"))
"""
UNTYPED = (
    TYPED
    + """
    fetch(3)
    fetch("u", shallow=True)
    await fetch_async()
    Service().ask()
    six: str = llmnet.retry_with_backoff(lambda: 4)
"""
)


@pytest.mark.slow
def test_type_checkers_see_the_signature(tmp_path):
    from mypy import api

    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "untyped.py").write_text(UNTYPED)
    root = pathlib.Path(llmnet.__file__).parent.parent
    options = ["--strict", "--no-error-summary", "--config-file=", f"--cache-dir={root / '.mypy_cache'}"]
    out, err, status = api.run([*options, str(tmp_path / "typed.py")])
    assert (out, err, status) == ("", "", 0)
    out, _, _ = api.run([*options, str(tmp_path / "untyped.py")])
    assert out.count("error:") == 5, out
