"""What pages take from the code, by page and heading: the timelines of failures, and the tables of providers.

`PYTHONPATH=tests python -m support.written` writes all of it; a test compares.
"""

import functools
import re
from collections.abc import Callable

from support.pages import DOCS
from support.timelines import PLAYS, Play, played

from llmnet.providers.services import SERVICES
from llmnet.providers.target import Service

_TABLE = r"(?:^\|.*\n)+"
_TEXT = r"(?<=^```text\n)(?:.*\n)*?(?=```$)"


def table(head: str, rows: list[list[str]]) -> str:
    columns = head.split(" | ")
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words) or "–"


def _own_address(service: Service) -> str:
    return f"`{service.base_url}`" if service.base_url else "inside the process" if service.name == "fake" else "–"


def providers() -> str:
    """All that have a row of their own: more than one API, or another wire form than OpenAI's."""
    return table(
        "provider | other names | `api=`, the usual one first | address",
        [
            [code(s.name), code(*s.aliases), code(*s.apis), _own_address(s)]
            for s in SERVICES.values()
            if not is_compatible(s)
        ],
    )


def variables() -> str:
    return table(
        "provider | key | address | sent as headers",
        [
            [
                code(s.name),
                code(*(name for name, _ in s.key_vars)),
                code(*(variable.name for variable in s.base_vars)),
                code(*s.env_headers),
            ]
            for s in SERVICES.values()
            if not is_compatible(s) and s.name != "fake"
        ],
    )


def forms() -> str:
    return table(
        "provider | `api=` | wire form | path below a bare host",
        [
            [code(s.name), code(api), code(row.form), code(row.path) if row.path else "–"]
            for s in SERVICES.values()
            if not is_compatible(s)
            for api, row in s.apis.items()
        ],
    )


def services() -> str:
    return table(
        "name | other names | key | address | variable of the address",
        [
            [
                code(s.name),
                code(*s.aliases),
                code(*(name for name, _ in s.key_vars)) if s.key_vars else "none",
                code(s.base_url),
                code(*(variable.name for variable in s.base_vars)),
            ]
            for _, s in sorted(SERVICES.items())
            if is_compatible(s)
        ],
    )


def is_compatible(service: Service) -> bool:
    return service.name not in ("openai", "anthropic", "azure", "dashscope", "qianfan", "fake")


def timeline(play: Play) -> str:
    return played(play) + "\n"


WRITTEN: dict[tuple[str, str], tuple[str, Callable[[], str]]] = {
    ("providers.md", "Providers"): (_TABLE, providers),
    ("providers.md", "Variables"): (_TABLE, variables),
    ("providers.md", "Wire forms"): (_TABLE, forms),
    ("providers.md", "Services"): (_TABLE, services),
    **{("what-happens-when.md", play.heading): (_TEXT, functools.partial(timeline, play)) for play in PLAYS},
}


def find(page: str, heading: str) -> re.Match[str]:
    """The place on a page where something is written: the first of its kind below the heading."""
    text = (DOCS / page).read_text()
    section = re.compile(rf"^## {re.escape(heading)}\n(?:(?!## ).*\n)*?", re.MULTILINE)
    begin = section.search(text)
    found = begin and re.compile(WRITTEN[page, heading][0], re.MULTILINE).search(text, begin.end())
    if not found:
        raise LookupError(f"docs/{page} has no place for it below the heading {heading!r}")
    return found


def write() -> None:
    for (page, heading), (_, make) in WRITTEN.items():
        found = find(page, heading)
        (DOCS / page).write_text(found.string[: found.start()] + make() + found.string[found.end() :])


if __name__ == "__main__":
    write()
