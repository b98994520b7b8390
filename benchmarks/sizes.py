"""What a package and all that it requires take on the disk, as it is installed here: no extras, and no bytecode."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parent.parent


def installed(package: str) -> float:
    """MiB of a package and all that it requires."""
    seen: dict[str, int] = {}
    waiting = [canonicalize_name(package)]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name], needed = _found(name)
            waiting += needed
    return sum(seen.values()) / (1 << 20)


def _found(name: str) -> tuple[int, list[str]]:
    """The bytes of one package, and the names of those that it requires here."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        if name != "llmnet":
            raise
        return _checkout()
    return sum(_sizes(found)), _needed(found.requires or [])


def _sizes(found: Distribution) -> Iterator[int]:
    for file in found.files or []:
        path = Path(str(file.locate()))
        if path.suffix != ".pyc" and path.is_file():
            yield path.stat().st_size


def _checkout() -> tuple[int, list[str]]:
    """What `_found` gives of llmnet, where it is not installed."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    files = (path for path in (_ROOT / "llmnet").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files), _needed(project["dependencies"])


def _needed(requirements: list[str]) -> list[str]:
    parsed = [Requirement(line) for line in requirements]
    return [canonicalize_name(one.name) for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]
