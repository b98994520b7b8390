"""The head of a request says what it was given, or is refused."""

import pytest

from llmnet.transports.request_head import authority, request_head


def test_a_head_is_what_it_was_given():
    head = request_head("POST", "/v1/x?a=b", {"Host": "h", "x-empty": "", "x-tab": "a\tb", "x-latin": "é"})
    assert head == b"POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nx-empty: \r\nx-tab: a\tb\r\nx-latin: \xe9\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/", {"x": "a\r\nb: c"}),
        ("GET", "/", {"x": "a\nb"}),
        ("GET", "/", {"x": "a\0"}),
        ("GET", "/", {"x\r\ny": "a"}),
        ("GET", "/", {"x y": "a"}),
        ("GET", "/", {"x:": "a"}),
        ("GET", "/", {"": "a"}),
        ("GET", "/", {"x": "世界"}),
        ("GET", "/a b", {}),
        ("GET", "/ HTTP/1.1\r\nx: y", {}),
        ("GET ", "/", {}),
        ("", "/", {}),
    ],
)
def test_what_would_change_its_meaning_is_refused(method, target, headers):
    with pytest.raises(ValueError, match=r"HTTP cannot carry|codec"):
        request_head(method, target, headers)


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [
        ("h", None, "h"),
        ("h", 8080, "h:8080"),
        ("::1", 443, "[::1]:443"),
        ("[::1]", None, "[::1]"),
        ("fe80::1%eth0", 80, "[fe80::1]:80"),
    ],
)
def test_a_host_is_named_with_its_port(host, port, named):
    assert authority(host, port) == named
