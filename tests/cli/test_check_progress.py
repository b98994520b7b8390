"""What a terminal shows while an input is checked."""

import contextlib
import importlib.util
import io
import json

import pytest
from support.batches import to

from llmnet.cli import main
from llmnet.cli.batch import CheckProgress
from llmnet.cli.batch_input import Rows

LINE = b'{"prompt": "a"}\n'


def test_the_figures_are_drawn_now_and_then_and_wiped_away_at_the_end():
    times, screen = iter([0.0, 0.1, 0.3, 0.4, 0.6]), io.StringIO()
    with CheckProgress(screen, lambda: next(times)).shown() as progress:
        for n in range(1, 5):
            progress(n * 1000, n / 10)
    first, second = "llmnet: checking the input: 20%, 2,000 lines", "llmnet: checking the input: 40%, 4,000 lines"
    assert screen.getvalue() == f"\r{first}\r{second}\r{'':<{len(second)}}\r"


def test_it_is_wiped_away_where_the_check_fails():
    times, screen = iter([0.0, 1.0]), io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), CheckProgress(screen, lambda: next(times)).shown() as progress:
        progress(1, 0.5)
        raise KeyboardInterrupt
    assert screen.getvalue().endswith(" \r")


def test_nothing_is_drawn_of_a_short_check_or_without_a_terminal():
    screen = io.StringIO()
    with CheckProgress(screen, lambda: 0.0).shown() as progress:
        progress(1, 0.5)
    assert screen.getvalue() == ""
    with CheckProgress(None).shown() as progress:
        progress(1, 0.5)


def test_how_far_the_check_is():
    seen = []
    file = io.BytesIO(b"before" + LINE * 1000)
    file.seek(6)
    rows = Rows(file, {})
    rows.check(lambda row: None, lambda count, share: seen.append((count, share)))
    assert seen == [(256, 0.256), (512, 0.512), (768, 0.768)]
    assert len(rows) == 1000


@pytest.mark.skipif(importlib.util.find_spec("pty") is None, reason="needs a terminal")
@pytest.mark.parametrize("options", [(), ("--no-progress",)])
def test_on_a_terminal(server, tmp_path, options):
    from support.terminals import COMMAND, Terminal

    (tmp_path / "in.jsonl").write_bytes(LINE * 300 + b"?\n")
    where = ["-m", "openai:m", "--base-url", f"{server.url}/v1", *options]
    program = f"from llmnet.cli import batch; batch.PAUSE = 0; {COMMAND}"
    terminal = Terminal("plain", program, "batch", str(tmp_path / "in.jsonl"), *where)
    screen = terminal.read().decode()
    code, _, lines = terminal.end()
    assert ("llmnet: checking the input: 85%, 256 lines" in screen) == (not options)
    assert (code, lines[0]) == (2, "llmnet: nothing was sent, for lines of the input are wrong:")


def test_none_in_a_pipe(server, tmp_path, capsys):
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf\n" + LINE * 300)
    assert main(to(server, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--json")) == 0
    assert json.loads(capsys.readouterr().err)["ok"] == 300
