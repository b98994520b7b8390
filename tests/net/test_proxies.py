"""Which proxy a URL goes through: the rules as a table, and that nothing but a typed error comes of any environment."""

import traceback
from types import SimpleNamespace

import httpx
import pytest
import requests.utils
from hypothesis import given
from hypothesis import strategies as st

from llmnet.core.credentials import in_proxy
from llmnet.core.errors import ConfigurationError
from llmnet.net import proxy_route
from llmnet.net.proxy import Proxy, proxy_for, proxy_variables
from llmnet.net.proxy_route import Proxies

pytestmark = pytest.mark.threads

URL = "https://api.example.com/v1/chat/completions"
HTTP = "http://api.example.com/v1"
SECRET = "s3cr3t-p4ssw0rd"


def through(url=URL, explicit=None, **environ):
    """The address of the proxy that a URL goes through."""
    proxy = proxy_for(url, explicit=explicit, environ=environ)
    return proxy and proxy.url


WHICH = [
    # url, environment, the proxy
    (URL, {}, None),
    (URL, {"HTTPS_PROXY": "http://a:1"}, "http://a:1"),
    (URL, {"https_proxy": "http://a:1"}, "http://a:1"),
    (URL, {"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "http://a:1"),
    (URL, {"https_proxy": "", "HTTPS_PROXY": "http://b:2"}, None),
    (URL, {"https_proxy": "  ", "HTTPS_PROXY": "http://b:2", "ALL_PROXY": "http://c:3"}, "http://c:3"),
    (URL, {"HTTP_PROXY": "http://a:1"}, None),
    (HTTP, {"HTTP_PROXY": "http://a:1"}, "http://a:1"),
    (HTTP, {"http_proxy": "http://a:1"}, "http://a:1"),
    (HTTP, {"HTTPS_PROXY": "http://a:1"}, None),
    (URL, {"ALL_PROXY": "socks5://a:1"}, "socks5://a:1"),
    (HTTP, {"all_proxy": "socks5h://a:1"}, "socks5h://a:1"),
    (URL, {"all_proxy": "http://a:1", "ALL_PROXY": "http://b:2"}, "http://a:1"),
    (URL, {"all_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "http://b:2"),
    (URL.upper(), {"HTTPS_PROXY": "http://a:1"}, "http://a:1"),
    # httpoxy: a CGI server puts a request's header `Proxy:` into HTTP_PROXY
    (HTTP, {"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}, None),
    (HTTP, {"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET", "ALL_PROXY": "http://c:3"}, "http://c:3"),
    (HTTP, {"http_proxy": "http://a:1", "HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}, "http://a:1"),
    (URL, {"HTTPS_PROXY": "http://a:1", "REQUEST_METHOD": "GET"}, "http://a:1"),
    # a variable that is not needed is not judged
    (URL, {"HTTPS_PROXY": "http://a:1", "ALL_PROXY": "gopher://x", "HTTP_PROXY": "::::"}, "http://a:1"),
    (URL, {"ALL_PROXY": "gopher://x", "NO_PROXY": "example.com"}, None),
    # Loopback is like any other host.
    ("http://127.0.0.1:8000/", {"HTTP_PROXY": "http://a:1"}, "http://a:1"),
    ("http://localhost/", {"HTTP_PROXY": "http://a:1"}, "http://a:1"),
]


@pytest.mark.parametrize(("url", "environ", "expected"), WHICH)
def test_which_variable_names_the_proxy(url, environ, expected):
    assert through(url, **environ) == expected


def test_the_proxy_says_who_named_it():
    def source(explicit=None, **environ):
        return proxy_for(URL, explicit=explicit, environ=environ).source

    assert source("http://a:1") == "argument"
    assert source(HTTPS_PROXY="http://a:1") == "HTTPS_PROXY"
    assert source(https_proxy="http://a:1") == "https_proxy"
    assert source(ALL_PROXY="http://a:1") == "ALL_PROXY"


@pytest.mark.parametrize("no_proxy", ["", "*", "example.com"])
def test_an_explicit_proxy_wins_over_the_environment_and_no_proxy(no_proxy):
    environ = {"HTTPS_PROXY": "http://b:2", "ALL_PROXY": "gopher://x", "NO_PROXY": no_proxy}
    assert through(explicit="http://a:1", **environ) == "http://a:1"


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_explicit_proxy_means_none_at_all(blank):
    assert through(explicit=blank, HTTPS_PROXY="http://b:2", ALL_PROXY="gopher://x") is None


class WindowsNames(dict):
    """An environment as Windows has it: found whatever the case, listed in capitals."""

    def __contains__(self, name):
        return super().__contains__(name.upper())

    def get(self, name, default=None):
        return super().get(name.upper(), default)


def test_httpoxy_is_seen_where_names_have_no_case():
    environ = WindowsNames(HTTP_PROXY="http://evil:1", REQUEST_METHOD="GET", NO_PROXY="")
    for seen in (environ, proxy_variables(environ)):
        assert proxy_for(HTTP, explicit=None, environ=seen) is None
    environ = WindowsNames(HTTP_PROXY="http://a:1", NO_PROXY="other.com")
    for seen in (environ, proxy_variables(environ)):
        assert proxy_for(HTTP, explicit=None, environ=seen).url == "http://a:1"
        assert through("http://other.com", **seen) is None


def test_what_is_kept_of_an_environment():
    kept = {"http_proxy": "", "HTTPS_PROXY": "http://a:1", "No_Proxy": "*", "REQUEST_METHOD": "GET"}
    environ = {**kept, "PATH": "/bin", "OPENAI_API_KEY": SECRET, "proxy": "http://b:2", "request_method": "GET"}
    assert proxy_variables(environ) == kept


def test_a_variable_that_another_thread_takes_away_meanwhile():
    class Losing(dict):
        def __iter__(self):
            yield from ("gone_proxy", "http_proxy")

    assert proxy_variables(Losing(http_proxy="http://a:1")) == {"http_proxy": "http://a:1"}


NO_PROXY = [
    # entry, hosts it covers, hosts it does not
    ("*", ["example.com", "10.0.0.1", "[::1]", "localhost"], []),
    ("example.com", ["example.com", "a.example.com", "a.b.example.com"], ["notexample.com", "example.com.cn", "com"]),
    (".example.com", ["example.com", "a.example.com"], ["notexample.com"]),
    ("*.example.com", ["example.com", "a.example.com"], ["notexample.com"]),
    ("Example.COM", ["example.com", "A.EXAMPLE.com"], []),
    ("example.com.", ["example.com", "example.com."], []),
    ("example.com", ["example.com.", "a.example.com."], []),
    ("localhost", ["localhost", "a.localhost"], ["127.0.0.1", "[::1]", "mylocalhost"]),
    ("example.com:8443", ["example.com:8443", "a.example.com:8443"], ["example.com", "example.com:443"]),
    ("example.com:443", ["example.com", "example.com:443"], ["example.com:8443"]),
    ("*:8443", ["example.com:8443", "10.0.0.1:8443"], ["example.com"]),
    ("127.0.0.1", ["127.0.0.1", "127.0.0.1:8000"], ["127.0.0.2", "localhost"]),
    ("127.0.0.1:8000", ["127.0.0.1:8000"], ["127.0.0.1", "127.0.0.1:8001"]),
    (".1", [], ["127.0.0.1", "10.0.0.1"]),
    ("10.0.0.0/8", ["10.0.0.1", "10.255.255.255", "10.1.2.3:99"], ["11.0.0.1", "[::a00:1]", "10.example.com"]),
    ("10.1.2.3/8", ["10.9.9.9"], ["11.0.0.1"]),
    ("192.168.1.0/255.255.255.0", ["192.168.1.7"], ["192.168.2.7"]),
    ("10.0.0.0/99", [], ["10.0.0.1"]),
    ("::1", ["[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]"], ["[::2]", "127.0.0.1"]),
    ("[::1]", ["[::1]", "[::1]:8000"], ["[::2]"]),
    ("[::1]:8000", ["[::1]:8000"], ["[::1]", "[::1]:8001"]),
    ("fd00::/8", ["[fd12:3456::1]"], ["[fe80::1]", "10.0.0.1"]),
    ("fe80::/10", ["[fe80::1]", "[fe80::1%25eth0]"], ["[fd00::1]"]),
    (" , example.com ,, 10.0.0.0/8 ", ["example.com", "10.0.0.1"], ["other.com"]),
    ("a.com b.com\tc.com", ["a.com", "b.com", "c.com"], ["d.com"]),
    ("", [], ["example.com"]),
    (" , ,", [], ["example.com", "10.0.0.1"]),
    (".", [], ["example.com"]),
    ("*.", [], ["example.com"]),
    ("[", [], ["example.com", "[::1]"]),
    ("example.com:", [], ["example.com"]),
]


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(("entry", "covered", "others"), NO_PROXY)
def test_no_proxy(name, entry, covered, others):
    environ = {"HTTPS_PROXY": "http://a:1", name: entry}
    assert [host for host in covered if through(f"https://{host}/v1", **environ)] == []
    assert [host for host in others if not through(f"https://{host}/v1", **environ)] == []


def test_the_lower_case_no_proxy_wins_even_when_it_is_empty():
    assert through(HTTPS_PROXY="http://a:1", NO_PROXY="*", no_proxy="other.com") == "http://a:1"
    assert through(HTTPS_PROXY="http://a:1", NO_PROXY="*", no_proxy="") == "http://a:1"


def test_no_proxy_names_the_usual_port_of_a_scheme():
    assert through(HTTP, HTTP_PROXY="http://a:1", NO_PROXY="example.com:80") is None
    assert through(HTTP, HTTP_PROXY="http://a:1", NO_PROXY="example.com:443") == "http://a:1"


ADDRESSES = [
    # as written, url, scheme, host, port, username, password
    ("http://proxy:3128", "http://proxy:3128", "http", "proxy", 3128, None, None),
    ("http://proxy:3128/", "http://proxy:3128", "http", "proxy", 3128, None, None),
    (" http://proxy:3128\n", "http://proxy:3128", "http", "proxy", 3128, None, None),
    ("proxy:3128", "http://proxy:3128", "http", "proxy", 3128, None, None),
    ("proxy", "http://proxy:80", "http", "proxy", 80, None, None),
    ("proxy:", "http://proxy:80", "http", "proxy", 80, None, None),
    ("10.0.0.1:3128", "http://10.0.0.1:3128", "http", "10.0.0.1", 3128, None, None),
    ("https://proxy", "https://proxy:443", "https", "proxy", 443, None, None),
    ("socks5://proxy", "socks5://proxy:1080", "socks5", "proxy", 1080, None, None),
    ("SOCKS5H://Proxy.Corp:9", "socks5h://proxy.corp:9", "socks5h", "proxy.corp", 9, None, None),
    ("http://[::1]:3128", "http://[::1]:3128", "http", "::1", 3128, None, None),
    ("[fd00::1]:3128", "http://[fd00::1]:3128", "http", "fd00::1", 3128, None, None),
    ("http://u:p@proxy:1", "http://proxy:1", "http", "proxy", 1, "u", "p"),
    ("u:p@proxy:1", "http://proxy:1", "http", "proxy", 1, "u", "p"),
    ("http://u@proxy:1", "http://proxy:1", "http", "proxy", 1, "u", None),
    ("http://u:@proxy:1", "http://proxy:1", "http", "proxy", 1, "u", ""),
    ("http://:p@proxy:1", "http://proxy:1", "http", "proxy", 1, "", "p"),
    ("http://@proxy:1", "http://proxy:1", "http", "proxy", 1, None, None),
    ("http://dom%5Cu%40x:p%3Aw%2F%23@proxy:1", "http://proxy:1", "http", "proxy", 1, "dom\\u@x", "p:w/#"),
    ("http://u:p@s:s@proxy:1", "http://proxy:1", "http", "proxy", 1, "u", "p@s:s"),
    ("socks5://u:%E5%AF%86@[::1]", "socks5://[::1]:1080", "socks5", "::1", 1080, "u", "密"),
]


@pytest.mark.parametrize(("written", "url", "scheme", "host", "port", "username", "password"), ADDRESSES)
def test_addresses(written, url, scheme, host, port, username, password):
    assert proxy_for(URL, explicit=written, environ={}) == Proxy(url, scheme, host, port, username, password)


@pytest.mark.parametrize("written", [row[0] for row in ADDRESSES])
def test_the_full_url_is_read_alike_by_both_libraries(written):
    proxy = proxy_for(URL, explicit=written, environ={})
    again = proxy_for(URL, explicit=proxy.full_url, environ={})
    assert (again.url, again.username, again.password or "") == (proxy.url, proxy.username, proxy.password or "")
    credentials = (proxy.username or "", proxy.password or "")
    assert requests.utils.get_auth_from_url(proxy.full_url) == credentials
    address = httpx.URL(proxy.full_url)
    assert (address.username, address.password) == credentials
    assert (address.host, address.port or httpx.Proxy(proxy.url).url.port or proxy.port) == (proxy.host, proxy.port)


UNUSABLE = [
    f"ftp://u:{SECRET}@proxy:1",
    f"socks4://u:{SECRET}@proxy:1",
    f"socks://u:{SECRET}@proxy:1",
    f"http://u:{SECRET}@",
    f"http://u:{SECRET}@:3128",
    f"http://u:{SECRET}",
    f"http://u:{SECRET}/x@proxy:3128",
    f"http://u:1/{SECRET}@proxy:3128",
    f"http://u:{SECRET}#x@proxy:3128",
    f"http://u:{SECRET}?x@proxy:3128",
    f"http://u:{SECRET}@proxy:port",
    f"http://u:{SECRET}@proxy:0",
    f"http://u:{SECRET}@proxy:65536",
    f"http://u:{SECRET}@proxy:{'9' * 5000}",
    f"http://u:{SECRET}@proxy:3128/path",
    f"http://u:{SECRET}@proxy:3128?query",
    f"http://u:{SECRET}@pro xy:3128",
    f"http://u:{SECRET}@[proxy]:3128",
    f"http://u:{SECRET}@[10.0.0.1]:3128",
    f"http://u:{SECRET}@[::1:3128",
    f"http://u:{SECRET}@::1:3128",
    f"http:/u:{SECRET}@proxy:3128",
    f"http://u:{SECRET}\udcff@proxy:3128",
    "http://",
    "://",
    "/",
]


@pytest.mark.parametrize("address", UNUSABLE)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy", "proxy"])
def test_an_unusable_proxy_fails_the_request_that_needs_it_and_shows_nothing(name, address):
    explicit, environ = (address, {}) if name == "proxy" else (None, {name: address})
    with pytest.raises(ConfigurationError) as caught:
        proxy_for(URL, explicit=explicit, environ=environ)
    trace = "".join(traceback.format_exception(caught.value, chain=True))
    assert name in str(caught.value)
    assert "http://user:password@host:3128" in str(caught.value)
    assert SECRET not in trace
    assert caught.value.__cause__ is None


def test_the_repr_shows_no_credentials():
    proxy = proxy_for(URL, explicit=f"http://key-as-user:{SECRET}@proxy:1", environ={})
    assert repr(proxy) == "Proxy(url='http://proxy:1', source='argument')"
    assert SECRET in proxy.full_url


def test_an_address_to_request_that_is_none_is_an_error_of_its_own():
    with pytest.raises(ConfigurationError, match="no valid host and port"):
        through("https://[::1/", HTTPS_PROXY="http://a:1", NO_PROXY="a.com")


names = st.sampled_from(
    [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
        "REQUEST_METHOD",
    ]
)
pieces = st.sampled_from(
    ["http", "socks5h", "://", ":", "@", "[", "]", "::1", "10.0.0.0/8", "%", "/", ".", "*", "99", " "]
)
words = st.text() | st.lists(pieces | st.text(max_size=3), max_size=8).map("".join)


@given(words, st.none() | words, st.dictionaries(names, words))
def test_any_environment_gives_a_proxy_or_none_or_a_typed_error(rest, explicit, environ):
    for url in (rest, f"https://{rest}", f"http://{rest}"):
        try:
            proxy = proxy_for(url, explicit=explicit, environ=environ)
        except ConfigurationError as error:
            str(error).encode()
            continue
        assert proxy == proxy_for(url, explicit=explicit, environ=proxy_variables(environ))
        if proxy is not None:
            assert 0 < proxy.port < 65536
            assert proxy_for(URL, explicit=proxy.full_url, environ={}).url == proxy.url
            repr(proxy).encode()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_credentials_survive_the_full_url(username, password):
    proxy = Proxy("http://proxy:1", "http", "proxy", 1, username, password)
    again = proxy_for(URL, explicit=proxy.full_url, environ={})
    assert (again.username, again.password) == ((username, password))


# -- of a client --------------------------------------------------------------------------------------------------------


class Attempt:
    """An attempt to an address, which notes what it is told of its proxy."""

    def __init__(self, url):
        self.request, self.told = SimpleNamespace(url=url), []

    def routed(self, *what):
        self.told.append(what)


def told(proxies, url):
    """What an attempt is told of its proxy."""
    attempt = Attempt(url)
    proxy = proxies.of(attempt)
    assert attempt.told == ([] if proxy is None else [(proxy.url, in_proxy(proxy.full_url))])
    return [url for url, _ in attempt.told]


def test_each_attempt_is_told_of_the_proxy_of_its_address():
    environ = {"http_proxy": f"u:{SECRET}@a:1", "HTTPS_PROXY": "b:2", "no_proxy": "other.com"}
    proxies = Proxies(None, environ)
    environ.clear()
    for _ in range(2):
        assert told(proxies, HTTP) == ["http://a:1"]
        assert told(proxies, URL) == ["http://b:2"]
        assert told(proxies, "http://other.com/v1") == []


def test_the_proxy_of_an_address_is_worked_out_once(monkeypatch):
    asked = []

    def work_out(url, **given):
        asked.append(url)
        return proxy_for(url, **given)

    monkeypatch.setattr(proxy_route, "proxy_for", work_out)
    for explicit, environ, urls in [
        (None, {}, 0),
        ("", {"ALL_PROXY": "b:2"}, 0),
        ("a:1", {}, 0),
        (None, {"ALL_PROXY": "b:2"}, 2),
    ]:
        proxies = Proxies(explicit, environ)
        asked.clear()
        for url in (URL, HTTP, URL, HTTP):
            told(proxies, url)
        assert len(asked) == urls
        # What is remembered does not grow for ever.
        for number in range(1000):
            told(proxies, f"{URL}/{number}")
        assert proxies._found.cache_info().currsize < 100  # private: of how many addresses the proxy is remembered
