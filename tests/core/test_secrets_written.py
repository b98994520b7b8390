"""A secret is hidden however it is written: escaped in whole or in part, once or again, in any text, in linear time."""

import base64
import copy
import html
import json
import pickle
import string
import time
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmnet.core.credentials import in_headers, in_query, is_credential
from llmnet.core.escapes import layers
from llmnet.core.http import Headers
from llmnet.core.preview import CUT
from llmnet.core.secrets import MASK, NEWEST, SHORTEST, Secrets

KEY = "bce-v3/ALTAK-aB3+x=9/abcdefgh012345"
NAMES = {"/": "&sol;", "+": "&plus;", "=": "&equals;", "-": "&#45;", "&": "&amp;", '"': "&quot;", "<": "&lt;"}
ESCAPES = {
    "as it is": lambda c: c,
    "percent": lambda c: f"%{ord(c):02X}",
    "percent, lower": lambda c: f"%{ord(c):02x}",
    "percent, twice": lambda c: f"%25{ord(c):02x}",
    "decimal": lambda c: f"&#{ord(c)};",
    "hex": lambda c: f"&#x{ord(c):X};",
    "hex, lower, zeros": lambda c: f"&#x00{ord(c):x};",
    "named": lambda c: NAMES.get(c, c),
    "JSON": lambda c: f"\\u{ord(c):04x}",
    "JSON, upper": lambda c: f"\\u{ord(c):04X}",
    "JSON's own": lambda c: f"\\{c}" if c in '/"\\' else c,
    "repr": lambda c: f"\\x{ord(c):02x}",
    "JSON of HTML": lambda c: f"\\u0026#{ord(c)};",
}
AROUND = {
    "nothing": str,
    "JSON": json.dumps,
    "repr": repr,
    "a page": html.escape,
    "an address": quote,
    "a form": quote_plus,
    "bytes": lambda text: repr(text.encode("utf-8", "replace")),
}


def written(secret, kinds):
    return "".join(ESCAPES[kind](letter) for letter, kind in zip(secret, kinds, strict=True))


def trace(secret, text):
    """Whether more of a secret is left than the letters that an escape before it may have taken in."""
    return any(secret[SHORTEST:].encode() in layer.text for layer in layers(text))


@pytest.mark.parametrize("kind", ESCAPES)
def test_each_way_of_writing_alone(kind):
    whole = written(KEY, [kind] * len(KEY))
    assert Secrets([KEY]).hide(f"before {whole} after") == f"before {MASK} after"
    one = KEY.replace("/", ESCAPES[kind]("/"), 1)
    assert Secrets([KEY]).hide(f"before {one} after") == f"before {MASK} after"
    assert Secrets([KEY]).hide(f"before {KEY[:-1]}x after") == f"before {KEY[:-1]}x after"


# A key as vendors give them, and a password that may look like anything, between texts that are none of its business.
keys = st.text(string.ascii_letters + string.digits + "-_/+=.:~", min_size=24, max_size=40)
passwords = st.text(string.printable[:94], min_size=24, max_size=40)
neutral = st.text(string.ascii_letters + " \"'(){},", max_size=20).map(lambda text: f"{text} ")
anything = st.text(string.printable + "%&\\#;u0x…é你", max_size=20)


mixed = st.lists(st.sampled_from([*ESCAPES]), min_size=40, max_size=40)
outside = st.lists(st.sampled_from([*AROUND]), max_size=2)


@st.composite
def by_one_writer(draw, secret):
    """A way for each letter: whoever escapes anything escapes the signs that begin an escape."""
    kind, some = draw(st.sampled_from([*ESCAPES])), draw(st.lists(st.booleans(), min_size=40, max_size=40))
    return [kind if one or c in "%\\&" else "as it is" for c, one in zip(secret, some, strict=False)]


def check(secret, kinds, before, after, outside):
    text = before + written(secret, kinds[: len(secret)]) + after
    for kind in outside:
        text = AROUND[kind](text)
    shown = Secrets([secret]).hide(text)
    assert MASK in shown
    assert not trace(secret, shown)
    assert secret not in html.unescape(unquote(shown))


@given(keys, mixed, anything, anything, outside)
def test_no_trace_of_a_key_in_any_text(secret, kinds, before, after, outside):
    check(secret, kinds, before, after, outside)


@given(st.data(), passwords, neutral, neutral, outside)
def test_no_trace_of_a_password_that_looks_like_escapes(data, secret, before, after, outside):
    check(secret, data.draw(by_one_writer(secret)), before, f" {after}", outside)


@given(keys | passwords, st.integers(0, 40), neutral, st.just("") | neutral)
def test_a_text_of_ascii_shows_as_little_as_any_other(secret, cut, before, after):
    text = before + secret[:cut] + after
    shown = Secrets([secret]).hide(text)
    assert f"é{shown}" == Secrets([secret]).hide(f"é{text}")
    assert MASK in shown or cut < len(secret)


def test_a_secret_without_a_letter_of_ascii():
    assert Secrets(["密码密码密码密码"]).hide("it is 密码密码密码密码") == f"it is {MASK}"


@given(keys, st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_no_trace_in_base64(secret, before, after, url):
    code = base64.urlsafe_b64encode if url else base64.b64encode
    shown = Secrets([secret]).hide(quote(code(before + secret.encode() + after).decode()))
    assert MASK in shown
    left = "".join(unquote(shown).split(MASK))
    assert len(left) <= len(base64.b64encode(before + after)) + 8


@given(st.sampled_from([*ESCAPES]), st.integers(SHORTEST + 1, len(KEY) - 1), st.integers(0, 5))
def test_half_a_secret_is_hidden_whatever_it_is_cut_in(kind, letters, more):
    """Cut behind some letters, and perhaps in the middle of an escape."""
    text = written(KEY, [kind] * len(KEY))
    size = sum(len(ESCAPES[kind](letter)) for letter in KEY[:letters])
    half = text[: size + min(more, len(ESCAPES[kind](KEY[letters])) - 1)]
    for end in ("", CUT, f"{CUT} and more"):
        assert Secrets([KEY]).hide(f"it was {half}{end}") == f"it was {MASK}{end}"


# Headers go out as Latin-1, and so may what stands in a query; a server answers in UTF-8, or believes that it does.
WIDE = "geheim-\xfcber-alles-\xdf-0123456789"
ECHOES = {
    "Latin-1 in a text of bytes": repr(WIDE.encode("latin-1")),
    "Latin-1 that is no UTF-8": WIDE.encode("latin-1").decode("utf-8", "replace"),
    "UTF-8 that is taken for Latin-1": WIDE.encode().decode("latin-1"),
    "Latin-1 in an address": quote(WIDE.encode("latin-1")),
    "UTF-8 in an address": quote(WIDE),
    "capitals": KEY.upper(),
    "small letters": KEY.lower(),
    "hexadecimal": KEY.encode().hex(),
    "hexadecimal, capitals": KEY.encode().hex().upper(),
}


@pytest.mark.parametrize("kind", ECHOES)
def test_what_becomes_of_a_secret_on_its_way(kind):
    assert Secrets([KEY, WIDE]).hide(f"before {ECHOES[kind]} after").replace("b'***'", MASK) == f"before {MASK} after"


def test_a_parameter_that_is_no_utf8():
    found = Secrets(in_query(f"https://h.test/v1?sig={quote(WIDE.encode('latin-1'))}&a=b"))
    for kind in ("Latin-1 in a text of bytes", "Latin-1 that is no UTF-8", "Latin-1 in an address"):
        assert "0123456789" not in found.hide(f"before {ECHOES[kind]} after")


@pytest.mark.parametrize(
    "text", [CUT, "%41x", "&amp;", "\\/", "%", "\\", "&#", "\\u00", "&aaaaaaaaa", KEY[:-1], KEY[:8], KEY, "a"]
)
def test_time_grows_as_the_text_does(text):
    """Four times the text takes about four times as long: sixteen times would be a square."""
    secrets = Secrets([KEY, "a" * 40])

    def seconds(size):
        repeated = text * (size // len(text))
        return min(_timed(secrets, repeated) for _ in range(5))

    small, large = seconds(20_000), seconds(80_000)
    assert large < 10 * small + 0.1  # a busy machine takes its time; the square of these sizes would be seconds


def _timed(secrets, repeated):
    before = time.thread_time()
    secrets.hide(repeated)
    return time.thread_time() - before


def test_the_name_of_a_header_may_be_a_secret():
    headers = Headers({f"X-{KEY}": "1", "b": "2"})
    assert dict(Secrets([KEY]).clean_headers(headers)) == {f"x-{MASK}": "1", "b": "2"}


LOOKS = {
    "one": lambda headers: headers["A"],
    "all": lambda headers: next(iter(headers.values())),
    "shown": repr,
    "pickled": lambda headers: repr(vars_of(pickle.loads(pickle.dumps(headers)))),
    "copied": lambda headers: repr(vars_of(copy.deepcopy(headers))),
}


def vars_of(thing):
    return {name: getattr(thing, name, None) for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_headers_that_are_looked_at_late_have_no_secret_of_the_time_when_they_came(look):
    secrets = Secrets()
    secrets.learn(KEY)
    headers = secrets.clean_headers(Headers({"a": f"b {KEY}"}))
    for number in range(NEWEST):
        secrets.learn(f"another-key-{number}")
    shown = look(headers)
    assert f"b {MASK}" in shown
    assert KEY not in shown + repr(vars_of(headers))


CREDENTIALS = (
    "sig signature code password passwd pwd x-password x-session-id x-amz-security-token session sid X-Amz-Signature "
    "access_token apikey api-key client_secret X-Amz-Credential Authorization Cookie x-functions-key ticket jwt otp pin "
    "Ocp-Apim-Subscription-Key Proxy-Authorization x-sig assertion"
)


@pytest.mark.parametrize("name", CREDENTIALS.split())
def test_what_means_a_credential(name):
    assert is_credential(name)
    assert "s3cret-value-1" in in_headers({name: "s3cret-value-1"})
    assert in_query(f"http://h/v1?a=b&{name}=s3cret%2Fvalue") == ["s3cret/value"]


@pytest.mark.parametrize(
    "name", ["model", "api-version", "x-request-id", "accept", "user-agent", "x-zip-code", "sigma"]
)
def test_what_means_none(name):
    assert not is_credential(name)


def test_the_parts_of_a_credential():
    login = base64.b64encode(b"user:p4ssword-1").decode()
    assert {"p4ssword-1", "user:p4ssword-1", login} < set(in_headers({"authorization": f"Basic {login}"}))
    assert {"first-value", "second-value"} < set(in_headers({"cookie": "a=first-value; b=second-value"}))


def test_of_renewed_keys_the_last_few_are_known_and_a_call_knows_its_own():
    client = Secrets(["the-first-of-all"])
    mine, names = client.also([]), [f"renewed-key-number-{n:04}" for n in range(1000)]
    mine.learn(names[0])
    size = 0
    for name in names[1:]:
        other = client.also([])
        other.learn(name)
        size = max(size, len(client._needles))  # private: its growth is seen by nothing but memory
    assert size == len(client._needles) < 20 * (NEWEST + 1)  # as above
    assert client.hide(" ".join(["the-first-of-all", *names[-NEWEST:]])) == " ".join([MASK] * (NEWEST + 1))
    assert client.hide(names[0]) == names[0]
    assert mine.hide(f"{names[0]} {names[-1]}") == f"{MASK} {MASK}"
