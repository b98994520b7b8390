"""Secrets are planted wherever a caller may give one, all goes wrong, everything is logged: no piece of them is seen."""

import base64
import html
import json
import subprocess
import sys
from urllib.parse import quote

import pytest
from support.acts import FRONTS
from support.paths import TESTS
from support.planted import BASIC, PROMPT, PROXYS_ECHO, REFUSED, SECRETS, SERVER

pytest.importorskip("socksio")
pytestmark = pytest.mark.slow

PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from support import planted; planted.main(sys.argv[2])"
PIECE = 12


def written(secret):
    """A secret in all the ways that somebody could read it again."""
    yield from (secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1])
    yield from (quote(secret, safe="").lower(), html.escape(secret), json.dumps(secret)[1:-1].replace("/", "\\/"))
    yield from (
        "".join(f"&#{ord(letter)};" for letter in secret),
        "".join(f"\\u{ord(letter):04X}" for letter in secret),
    )
    for before in range(3):  # base64 reads three bytes at a time: how it looks depends on what stands before
        coded = base64.b64encode(b"x" * before + secret.encode()).decode()[-(-before * 8 // 6) :].rstrip("=")[:-1]
        yield from (coded, coded.replace("+", "-").replace("/", "_"))


def pieces(*texts):
    """All pieces of texts, however written."""
    return {form[at : at + PIECE] for text in texts for form in written(text) for at in range(len(form) - PIECE + 1)}


PIECES = pieces(*SECRETS)


def leaks(text, pieces=PIECES):
    """The lines that hold a piece of a secret."""
    windows = lambda line: {line[at : at + PIECE] for at in range(len(line) - PIECE + 1)}  # noqa: E731
    return [line[:400] for line in set(text.splitlines()) if not pieces.isdisjoint(windows(line))]


@pytest.fixture(scope="module", params=FRONTS)
def shown(request):
    """All that the program wrote on a front: its output, in sections, and what else there was to be read."""
    command = [sys.executable, "-X", "dev", "-c", PROGRAM, str(TESTS), request.param]
    done = subprocess.run(command, capture_output=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def test_nothing_is_seen(shown):
    for text in shown:
        assert leaks(text) == []


def test_our_own_lines_hold_no_prompt_either(shown):
    lines = [line for line in shown[1].splitlines() if line.startswith("llmnet ")]
    assert leaks("\n".join(lines), pieces(PROMPT)) == []
    attempts = [line for line in lines if " attempt=" in line and " again in " not in line]
    assert len(attempts) == shown[0].count("event: AttemptStarted(") > 40
    assert sum(" outcome=" in line for line in lines) == shown[0].count("event: CallFinished(") > 20
    assert PROMPT in shown[0]


def test_everything_was_tried_and_written_down(shown):
    sections = dict(section.split("\n", 1) for section in shown[0].split("=== ")[1:])
    assert {*SERVER, *REFUSED, "407 of a forwarding proxy", "SOCKS", "407 of a tunnelling proxy", "end"} <= set(
        sections
    )
    went_well = {
        "success",
        "success of a stream",
        "a success that echoes",
        "keys from a callable",
        "SOCKS",
        "a forwarding proxy",
    }
    for name, section in sections.items():
        assert ("\nreply: " in section) == (name in went_well), name
        assert ("\npickle: " in section) == (name not in {*went_well, "end"}), name
    assert shown[0].count("***") > 100  # what a server echoed was there to be hidden
    assert "/v1/chat/completions?subscription-key=*** " in shown[1]  # and so were addresses in the libraries' logs
    assert "asyncio " in shown[1]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_leak_would_be_found(secret):
    for form in written(secret):
        assert leaks(f"something {form[5 : 6 + PIECE]} else")
    assert leaks(PROXYS_ECHO)
    assert leaks(BASIC)
    assert leaks(base64.b64encode(f"user:{secret}".encode()).decode())
    assert leaks("sk-Pl4nted and nothing more") == []
