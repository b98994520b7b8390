"""The reference is whole: every public name has its entry, every provider and every error its place."""

import re

import pytest
from support import written
from support.live import ENGINE
from support.pages import PAGES
from support.timelines import PLAYS

import llmnet
import llmnet.testing
from llmnet.providers.services import NAMED

ENTRIES = re.findall(r"^\.\. auto\w+:: ([\w.]+)", PAGES["api.md"], re.MULTILINE)


def test_every_public_name_has_one_entry():
    named = [name for name in ENTRIES if "." not in name]
    assert sorted(named) == sorted(llmnet.__all__)


def test_what_tests_use_has_one_entry():
    named = [name.removeprefix("llmnet.testing.") for name in ENTRIES if name.startswith("llmnet.testing.")]
    assert sorted([*named, "FAULTS"]) == sorted(llmnet.testing.__all__), "FAULTS is a table"


@pytest.mark.parametrize(("page", "heading"), written.WRITTEN, ids=map("{0[0]}, {0[1]}".format, written.WRITTEN))
def test_what_is_taken_from_the_code_is_that_of_the_code(page, heading):
    if page == "what-happens-when.md" and ENGINE == "httpx":
        pytest.skip("httpx's own engine words what came below it in its own way")
    make = written.WRITTEN[page, heading][1]
    assert written.find(page, heading)[0] == make(), "PYTHONPATH=tests python -m support.written"


def test_every_service_is_named():
    assert [name for name in NAMED if f"`{name}`" not in PAGES["providers.md"]] == []


def test_every_timeline_is_played():
    listed = re.findall(r"^## (.*)", PAGES["what-happens-when.md"], re.MULTILINE)
    assert sorted(listed) == sorted(play.heading for play in PLAYS)
