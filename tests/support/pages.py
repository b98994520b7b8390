"""README and the pages of `docs/` as tests read them: text, headings, tables, and each block of Python with its place.

A comment on the line before a block says how it is to be read: `<!-- continues -->`, it goes on from the block before it;
`<!-- not run: why -->`, it is only looked at for its syntax.
"""

import ast
import dataclasses
import importlib.util
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
PATHS = [README, *sorted(DOCS.rglob("*.md"))]
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in PATHS if path != README}

_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>.+) -->\n)?(?P<indent> *)```(?P<language>\S*).*\n(?P<text>(?:.*\n)*?)(?P=indent)```$",
    re.MULTILINE,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a page: where its first line stands, and its text with what it continues, each on its own line."""

    path: pathlib.Path
    line: int
    text: str
    mark: str

    @property
    def id(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def awaits(self) -> bool:
        """Whether it awaits outside of a function, as in a notebook."""
        try:
            compile(self.text, self.id, "exec", dont_inherit=True)
        except SyntaxError:
            return True
        return False

    @property
    def module(self) -> str:
        """The text as a module of the same lines; what awaits is put into a function, whose `def` is where the fence was."""
        if not self.awaits:
            return self.text
        lines = self.text.splitlines()
        first = next(number for number, line in enumerate(lines) if line)
        return "\n".join(
            [*lines[: first - 1], "async def main() -> None:", *(f"    {line}" for line in lines[first:]), ""]
        )


def fences(path):
    """Each fenced block of a page as a match, with the number of its first line."""
    text = path.read_text()
    return [(found, text.count("\n", 0, found.start("text")) + 1) for found in _FENCE.finditer(text)]


def blocks(path):
    """The Python blocks of a page."""
    before = ""
    for found, line in fences(path):
        if found["language"] == "python":
            mark = found["mark"] or ""
            above = before if mark == "continues" else ""
            before = above + "\n" * (line - 1 - above.count("\n")) + textwrap.dedent(found["text"])
            yield Block(path, line, before, mark)


BLOCKS = [block for path in PATHS for block in blocks(path)]
RUN = [block for block in BLOCKS if not block.mark.startswith("not run: ")]


def defines_tests(text):
    """Whether pytest would find a test in it."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for node in ast.parse(text).body
    )


def absent(text):
    """The libraries that it imports and that are not installed."""
    nodes = list(ast.walk(ast.parse(text)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return [
        name for name in dict.fromkeys(name.split(".")[0] for name in names) if importlib.util.find_spec(name) is None
    ]


def headings(text):
    return set(_HEADING.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def rows(text, heading):
    """The cells of the first table below a heading."""
    below = text.split(f" {heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)[0]
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()[2:]]


def ticked(cell):
    return re.findall(r"`([^`]*)`", cell)
