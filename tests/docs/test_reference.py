"""The reference is whole: every public name has its entry, every provider and every error its place."""

import re

from support.pages import PAGES

import llmnet
import llmnet.testing

ENTRIES = re.findall(r"^\.\. auto\w+:: ([\w.]+)", PAGES["api.md"], re.MULTILINE)


def test_every_public_name_has_one_entry():
    named = [name for name in ENTRIES if "." not in name]
    assert sorted(named) == sorted(llmnet.__all__)


def test_what_tests_use_has_one_entry():
    named = [name.removeprefix("llmnet.testing.") for name in ENTRIES if name.startswith("llmnet.testing.")]
    assert sorted([*named, "FAULTS"]) == sorted(llmnet.testing.__all__), "FAULTS is a table"
