"""How Sphinx builds the pages of this folder: `sphinx-build -W -b html docs FOLDER`, without the network."""

import llmnet

project = "llmnet"
author = "the llmnet developers"
release = version = llmnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["examples"]

# Links and headings as GitHub has them, so that each page reads the same in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"llmnet {release}"
html_copy_source = False
html_show_copyright = False


def setup(app: object) -> None:
    """Show as it is written what GitHub draws: Pygments knows no `mermaid`."""
    from pygments.lexers import TextLexer  # noqa: PLC0415 (of the extra `docs`)

    app.add_lexer("mermaid", TextLexer)  # type: ignore[attr-defined]
