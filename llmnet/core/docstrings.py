"""What a docstring says of a function and of its parameters, in the styles of Google, NumPy and Sphinx."""

import inspect
import re

# Where the sections begin, and with them the end of what is said of the function itself.
_SECTION = re.compile(
    r"^(?:(?:Args|Arguments|Parameters|Params|Other Parameters|Keyword Args|Returns?|Yields?|Raises|Examples?|Notes?"
    r"|See Also|Todo|Warnings?|Attributes)(?::[ ]*$|[ ]*\n-{3,}[ ]*$)"
    r"|:(?:param|parameter|arg|type|returns?|rtype|raises?|yields?)\b.*:)",
    re.MULTILINE,
)
_GOOGLE = re.compile(r"^(?:Args|Arguments|Parameters|Params):[ ]*\n((?:[ ]+.*\n?|[ ]*\n)+)", re.MULTILINE)
_NUMPY = re.compile(r"^Parameters[ ]*\n-{3,}[ ]*\n((?:(?!.*\n-{3,}).*\n?)+)", re.MULTILINE)
_SPHINX = re.compile(r"^:(?:param|parameter|arg)[ ]+(?:[^:\n]+[ ])?(\w+):(.*(?:\n[ ]+.*)*)", re.MULTILINE)
_GOOGLE_ROW = re.compile(r"^(\w+)[ ]*(?:\([^\n]*?\))?:(.*(?:\n(?:[ ]+.*|[ ]*$))*)", re.MULTILINE)
_NUMPY_ROW = re.compile(r"^(\w+)[ ]*(?::.*)?\n((?:[ ]+.*\n?)+)", re.MULTILINE)


def described(docstring: str) -> tuple[str, dict[str, str]]:
    """What is said of the function, and of its parameters by their names; paragraphs of the first are kept."""
    text = inspect.cleandoc(docstring)
    first = _SECTION.search(text)
    rows = [
        *(row for block in _GOOGLE.findall(text) for row in _GOOGLE_ROW.findall(inspect.cleandoc(f"\n{block}"))),
        *(row for block in _NUMPY.findall(text) for row in _NUMPY_ROW.findall(block)),
        *_SPHINX.findall(text),
    ]
    return text[: first.start() if first else None].strip(), {name: " ".join(said.split()) for name, said in rows}
