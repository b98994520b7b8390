"""`docs/llms.txt` is true: its program runs, its names exist, its links lead to pages."""

import re

from support.pages import DOCS

import llmnet
import llmnet.testing

TEXT = (DOCS / "llms.txt").read_text()
PROGRAM = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
PROSE = TEXT.replace(PROGRAM, "")


def test_its_program_runs(vendors, capsys):
    exec(compile(PROGRAM, "llms.txt", "exec"), {"__name__": "llms"})
    assert "AuthenticationError" in capsys.readouterr().out


def test_it_names_what_there_is():
    named = set(re.findall(r"(?:\bllmnet\.|`)([A-Z]\w+)", TEXT))
    assert named - {*llmnet.__all__, *llmnet.testing.__all__} == set()
    assert {name for name in llmnet.__all__ if name.endswith("Error")} <= named


def test_it_has_the_form_of_its_kind():
    """As llmstxt.org has it: a title, a summary, and lists of links below headings of the second rank."""
    assert re.match(r"# llmnet\n\n> .+\n\n", TEXT)
    links = re.findall(r"^- \[.*\]\(.*\): .+$", PROSE, re.MULTILINE)
    assert len(links) == len(re.findall(r"^- ", PROSE, re.MULTILINE)) > 10


def test_its_links_lead_to_pages():
    assert [path for path in re.findall(r"\]\((.*?)\)", PROSE) if not (DOCS / path).is_file()] == []
