"""Prints the lowest version of each runtime dependency that pyproject.toml allows, as constraints for pip."""

import re
import tomllib

# What else belongs to the library: the other extras are for its tests and benchmarks.
EXTRAS = ("http2", "socks", "progress", "chat", "completion")

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
for requirement in wanted:
    found = re.fullmatch(r"([\w.-]+)>=([\w.]+)(,<[\w.]+)?", requirement)
    if found is None:
        raise SystemExit(f"{requirement!r} in pyproject.toml has no lowest version: write it like name>=1.2,<2")
    print(f"{found[1]}=={found[2]}")
