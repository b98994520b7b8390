"""How Sphinx builds the pages of this folder: `sphinx-build -W -b html docs FOLDER`, without the network."""

import re
from typing import Any

from pygments.lexers import TextLexer
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject

import llmnet

project = "llmnet"
author = "the llmnet developers"
release = version = llmnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["examples"]

# Links and headings as GitHub has them, so that each page reads the same in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_use_ivar = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"llmnet {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["llms.txt"]
html_show_copyright = False

_WORD = re.compile(r'(?<=<span class="pre">)[^<]+')
_SIGN = re.compile(r"[_./(=](?=\w)")
_TICKED = re.compile(r"`([^`]+)`")


def _linked(found: re.Match[str]) -> str:
    """What stands in ticks: a link where it is a public name, code otherwise."""
    word = " ".join(found[1].split())  # it may go on in the next line
    return f":py:obj:`~llmnet.{word}`" if word in llmnet.__all__ else f"``{word}``"


def _from_markdown(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are written like the pages, with single ticks."""
    lines[:] = _TICKED.sub(_linked, "\n".join(lines)).split("\n")


def _short(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """What is not sent unless it is given has no default that a reader could write."""
    return signature and signature.replace("NOT_GIVEN", "..."), returned


def _breakable(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """Code in a table may be broken behind a sign, where a table of code and sentences would be too wide."""
    cells = re.split(r"(<td>.*?</td>)", context.get("body", ""), flags=re.DOTALL)
    cells[1::2] = [_WORD.sub(lambda word: _SIGN.sub(r"\g<0><wbr>", word[0]), cell) for cell in cells[1::2]]
    context["body"] = "".join(cells)


def setup(app: Sphinx) -> None:
    """Adapt what no setting does."""
    app.connect("autodoc-process-docstring", _from_markdown)
    app.connect("autodoc-process-signature", _short)
    app.connect("html-page-context", _breakable)
    app.add_lexer("mermaid", TextLexer)  # GitHub draws it; here it is shown as it is written
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
