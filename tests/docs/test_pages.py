"""The pages of `docs/` are true: what cites them finds its heading, the paths on them exist, their tables are the code's."""

import dataclasses
import pathlib
import re

import pytest
from support.pages import DOCS, PAGES, ROOT, headings, rows, ticked

import llmnet
from llmnet.core.bounds import Timeout
from llmnet.core.retry import RetryBudget, RetryPolicy
from llmnet.providers import anthropic, responses
from llmnet.providers import openai_chat_reply as chat
from llmnet.providers.services import SERVICES
from llmnet.testing import Reply

HERE = pathlib.Path(__file__)
CITING = [
    *(path for folder in ("llmnet", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", *(f"docs/{name}" for name in PAGES))),
]
CITED = re.compile(r"\bdocs/([\w/-]+(?:\.zh)?\.md)(?=(?:, ([A-Z][\w -]*\w))?)")


def missing(text):
    """The citations of a text that nobody can look up; a heading may go on in the next line."""
    joined = re.sub(r"\n[# ]*", " ", text)
    for (page, heading), (_, full) in zip(CITED.findall(text), CITED.findall(joined), strict=True):
        if page not in PAGES or not {heading, full} & {"", *headings(PAGES[page])}:
            yield f"docs/{page}, {full}"


def test_what_is_cited_is_there():
    found = {path.relative_to(ROOT).as_posix(): list(missing(path.read_text())) for path in CITING if path != HERE}
    assert {path: cites for path, cites in found.items() if cites} == {}


def test_what_is_cited_and_not_there_is_found():
    text = "docs/vendors.md, Usage\nand (docs/vendors.md, Finish\n# reasons), docs/vendors.md says. {}"
    assert list(missing(text)) == []
    for wrong in ("docs/vendors.md, Usages", "docs/vendors.md, Errors of nobody", "docs/none.md, "):
        assert list(missing(text.format(wrong))) == [wrong]


def test_names_of_pages_that_nobody_can_open_are_gone():
    outside = re.compile(r"\b(PROTOCOLS|RESILIENCE|PAINS|DESIGN)(\.md)?\b")
    assert [str(path) for path in CITING if path != HERE and outside.search(path.read_text())] == []


def braced(path):
    """`tests/{net,core}/` as the paths that it stands for."""
    found = re.fullmatch(r"(.*)\{(.*)\}(.*)", path)
    return [found[1] + word + found[3] for word in found[2].split(",")] if found else [path]


@pytest.mark.parametrize("page", PAGES)
def test_paths_on_a_page_exist(page):
    paths = re.findall(r"`((?:llmnet|tests|docs|benchmarks|\.ci)/[^`,]*|\w+\.(?:md|toml))[`,]", PAGES[page])
    assert paths or page not in ("architecture.md", "contributing.md", "resilience.md")
    here = [path for one in paths for path in braced(one) if (ROOT / ".ci").exists() or not path.startswith(".ci/")]
    assert [path for path in here if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *(DOCS / page for page in PAGES)], ids=lambda page: page.name)
def test_links_lead_to_files(page):
    """As GitHub follows them: from the folder of the page on. Sphinx checks those of the pages once more, with their headings."""
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if ":" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_names_on_a_page_exist(page):
    named = set(re.findall(r"\bllmnet\.([A-Z]\w*|\w+(?=\())", PAGES[page]))
    assert {name for name in named if not hasattr(llmnet, name)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_links_within_a_page_lead_to_a_heading(page):
    anchors = {heading.lower().replace(" ", "-") for heading in headings(PAGES[page])}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGES[page])) <= anchors


def test_the_services_are_those_of_the_code():
    listed = {
        name: (*ticked(base), *([] if key == "none" else key.split(", ")))
        for name, base, key, _ in rows(PAGES["vendors.md"], "Services")
    }
    five = ("openai", "anthropic", "azure", "dashscope", "qianfan", "fake")
    assert listed == {
        name: (service.base_url, *(variable for variable, _ in service.key_vars))
        for name, service in sorted(SERVICES.items())
        if name not in five
    }


def test_apis_and_variables_are_those_of_the_code():
    provider, apis, keys = "", {}, {}
    for name, api, form, *_ in rows(PAGES["vendors.md"], "Addresses and keys"):
        provider = name or provider
        apis.setdefault(provider, []).append((*ticked(api), *ticked(form)))
    assert apis == {name: [(api, row.form) for api, row in SERVICES[name].apis.items()] for name in apis}
    for name, key, base, _ in rows(PAGES["vendors.md"], "Variables")[:-1]:
        keys[name] = re.findall(r"[A-Z_]{5,}", key), re.findall(r"[A-Z_]{5,}", base)
    assert keys == {
        name: ([key for key, _ in SERVICES[name].key_vars], [base.name for base in SERVICES[name].base_vars])
        for name in keys
    }
    assert apis.keys() == keys.keys()


def test_variables_of_our_own_are_those_of_the_code():
    code = "".join(path.read_text() for path in sorted((ROOT / "llmnet").rglob("*.py")))
    listed = [ticked(name)[0] for name, *_ in rows(PAGES["providers.md"], "llmnet's own variables")]
    assert sorted(listed) == sorted(set(re.findall(r"\bLLMNET_[A-Z_]+\b", code)))


def test_finish_reasons_are_those_of_the_code():
    listed = rows(PAGES["vendors.md"], "Finish reasons")
    for column, table in ((1, chat.FINISH), (2, responses.FINISH), (3, anthropic.FINISH)):
        for word, finish in table.items():
            assert word in next(ticked(row[column]) for row in listed if row[0] == f"`{finish.value}`"), word


@pytest.mark.parametrize(
    ("heading", "values"),
    [("Backoff", RetryPolicy()), ("Budget", RetryBudget()), ("Bounds", Timeout())],
    ids=["policy", "budget", "bounds"],
)
def test_figures_are_those_of_the_code(heading, values):
    fields = dataclasses.asdict(values)
    below = PAGES["resilience.md"].split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+|–) \|", below, re.MULTILINE))
    assert listed
    assert {name: None if figure == "–" else float(figure) for name, figure in listed.items()} == {
        name: fields[name] for name in listed
    }


def test_the_fields_of_reply_are_those_of_the_code():
    section = PAGES["guides/tests.md"].split("## Fields of Reply\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert sorted(ticked(", ".join(cells))) == sorted(field.name for field in dataclasses.fields(Reply))
