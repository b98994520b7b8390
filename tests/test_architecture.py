"""The house as docs/architecture.md draws it: which room may look into which, who may touch a library, how large a file may be."""

import ast
import functools
import io
import pathlib
import re
import subprocess
import sys
import tokenize
import tomllib

import pytest
from support.paths import CHECKOUT

import llmnet

ROOT = pathlib.Path(llmnet.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# What each room may import of llmnet, itself aside: docs/architecture.md, Arrows. On use means inside a function.
MAY = {
    "core": set(),
    "providers": {"core"},
    "net": {"core"},
    "transports": {"core", "net"},
    "config": {"core", "providers"},
    "telemetry": {"core"},
    "batch": {"core"},
    "client": {"core", "providers", "config", "telemetry", "transports"},
    "retrying": {"core"},
    "testing": {"core", "providers"},
    "cli": {"core", "batch", "providers", "config", "client", ""},
    "__main__": {"cli"},
}
ON_USE = {
    "client": {"batch", "testing"},
    "config": {""},
    "retrying": {"transports"},
}

# The one room of each library.
LIBRARIES = {
    "requests": {f"transports/sync/{part}.py" for part in ("transport", "prepared", "reply", "pool", "factory")},
    "urllib3": {
        f"transports/sync/{part}.py"
        for part in ("connection", "reader", "prepared", "reply", "lending", "pool", "factory")
    }
    | {"transports/multipart.py"},
    "httpx": {
        f"transports/aio/{part}.py"
        for part in (
            "transport",
            "client",
            "reply",
            "factory",
            "pool",
            "fast",
            "connect",
            "http1",
        )
    },
    "httptools": {"transports/http1_reader.py"},
    "httpcore": {f"transports/aio/{part}.py" for part in ("stream", "pool")},
    "socksio": {"net/socks.py"},
    "tenacity": {"retrying.py"},
    "pytest": {"testing/pytest_plugin.py"},
    "certifi": {"net/tls.py"},
}
# Those of which private names are used: their next major version may change them.
BOUNDED_ABOVE = {"requests", "urllib3", "httpx", "httpcore", "h11", "h2", "socksio"}
# Law 1: core and providers do no I/O, start no thread of their own, and read no clock that was not handed in.
FORBIDDEN_IN_PURE = {
    "socket",
    "ssl",
    "asyncio",
    "http",
    "urllib.request",
    "subprocess",
    "selectors",
    "concurrent",
    "os",
}


@functools.cache
def tree(path):
    return ast.parse(path.read_text())


def module(path):
    return path.relative_to(ROOT).as_posix()


def room(path):
    return module(path).split("/")[0].removesuffix(".py").replace("__init__", "")


def imports(path):
    """(name, on use, for typing only) of each import."""
    module_tree = tree(path)
    guarded = [n for n in ast.walk(module_tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    typing_only = {id(n) for block in guarded for n in ast.walk(block)}
    inside = {
        id(n)
        for f in ast.walk(module_tree)
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
        for n in ast.walk(f)
    }
    for node in ast.walk(module_tree):
        names = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for name in names:
            below = [f"{name}.{a.name}" for a in node.names if is_module(f"{name}.{a.name}")]
            for one in below if below and len(below) == len(node.names) else [name]:
                yield one, id(node) in inside, id(node) in typing_only


def test_the_page_has_these_arrows():
    page = (CHECKOUT / "docs" / "architecture.md").read_text().split("## Arrows\n")[1].split("\n## ")[0]
    arrows = {}
    for line in re.findall(r"^\| `.*$", page, re.MULTILINE):
        here, always, on_use = (
            {*re.findall(r"`(\w+)`", cell), *([""] if "the package itself" in cell else [])}
            for cell in line.strip("|").split("|")
        )
        arrows[here.pop()] = always, on_use
    assert arrows == {room: (rooms, ON_USE.get(room, set())) for room, rooms in MAY.items()}


def is_module(name):
    path = ROOT.parent / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_go_downwards(path):
    here = room(path)
    if not here:
        return
    for name, on_use, typing_only in imports(path):
        if name.split(".")[0] != "llmnet" or typing_only:
            continue
        there = name.split(".")[1] if "." in name else ""
        allowed = MAY[here] | {here} | (ON_USE.get(here, set()) if on_use else set())
        assert there in allowed, f"{module(path)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_each_library_has_one_room(path):
    for name, _, typing_only in imports(path):
        library = name.split(".")[0]
        if library in LIBRARIES and not typing_only:
            assert module(path) in LIBRARIES[library], f"{module(path)} imports {name}"


# Who waits for a call's turn or asks for its key, and who makes calls of other people's requests.
SEE_CALLS = {f"transports/{part}.py" for part in ("generic", "sync/wait", "sync/factory", "aio/wait", "aio/factory")}
UNSEEN = ("call", "admission", "judge", "route")


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "transports"], ids=module)
def test_a_transport_sees_the_exchange_alone(path):
    """Neither calls nor queue, gate and policy: `core.transport` says what it is for."""
    seen = {name for name, _, _ in imports(path) if name.startswith(tuple(f"llmnet.core.{part}" for part in UNSEEN))}
    assert module(path) in SEE_CALLS or not seen


# Those of the extras, whose versions README leaves to pyproject.toml.
WITHOUT_VERSION = {"h2", "socksio", "rich", "prompt-toolkit", "argcomplete"}


def requirements():
    """(name, bounds) of what pyproject.toml asks for at runtime, its extras included."""
    project = tomllib.loads((pathlib.Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    extras = (project["optional-dependencies"][extra] for extra in ("http2", "socks", "progress", "chat", "completion"))
    for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        yield re.match(r"[\w.-]+", requirement)[0], requirement


def test_what_is_imported_is_declared_with_its_bounds():
    declared = dict(requirements())
    imported = {name.split(".")[0] for path in FILES for name, _, _ in imports(path)}
    for path in FILES:  # type checkers know it without its being installed, and core/chat.py does without it
        assert all(typing for name, _, typing in imports(path) if name.startswith("typing_extensions"))
    imported -= {"typing_extensions", "pytest"}  # and pytest has loaded the plugin itself
    assert imported - sys.stdlib_module_names - {"llmnet"} <= {name.replace("-", "_") for name in declared}
    readme = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
    for name, bounds in declared.items():
        lowest = re.search(r">=([\d.]+)", bounds)[1]
        assert (",<" in bounds) == (name in BOUNDED_ABOVE), bounds
        assert name in readme
        assert f"≥ {lowest}" in readme or name in WITHOUT_VERSION, bounds


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in ("core", "providers")], ids=module)
def test_pure_rooms_do_no_io(path):
    text = path.read_text()
    for name, _, _ in imports(path):
        assert name.split(".")[0] not in FORBIDDEN_IN_PURE, f"{module(path)} imports {name}"
    assert "Thread(" not in text
    assert "time.monotonic()" not in text


def test_there_are_no_cycles():
    graph = {}
    for path in FILES:
        name = "llmnet." + module(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        graph[name] = {
            n
            for n, on_use, typing in imports(path)
            if n.startswith("llmnet.") and not typing and (not on_use or n.split(".")[:2] == name.split(".")[:2])
        }
    done, path_now = set(), []

    def visit(name):
        assert name not in path_now, f"cycle: {' -> '.join([*path_now, name])}"
        if name in done or name not in graph:
            return
        path_now.append(name)
        for below in graph[name] - {name}:
            visit(below)
        path_now.pop()
        done.add(name)

    for name in graph:
        visit(name)


@pytest.mark.parametrize("path", FILES, ids=module)
def test_files_are_small_and_state_their_law(path):
    text = path.read_text()
    assert text.count("\n") <= 250, f"{module(path)} is too long"
    assert ast.get_docstring(ast.parse(text)), f"{module(path)} does not say what it is"


# Locks that nobody holds while he works: one waits for another to release them, or tries them and goes on; the
# condition of `BatchState.held_here` is asked whose the reentrant lock below it is, and nobody waits for it.
LATCHES = {
    "core/interrupts.py": 1, "batch/progress.py": 1, "core/record.py": 1, "batch/state.py": 1,
}  # fmt: skip


@pytest.mark.parametrize("path", [path for path in FILES if room(path) not in ("testing", "cli")], ids=module)
def test_no_lock_is_one_that_a_signal_handler_would_wait_for(path):
    """It may run, as a finalizer may, on the very thread that holds the lock: only an `RLock` lets it in."""
    made = re.findall(r"\bthreading\.(Lock|Condition|Event|Semaphore|BoundedSemaphore|Barrier)\(", path.read_text())
    assert len(made) == LATCHES.get(module(path), 0)


TESTS = pathlib.Path(__file__).parent


ROOMS_OF_TESTS = {path.name for path in ROOT.iterdir() if path.is_dir()} | {
    "docs",
    "support",
    "matrix",
    "processes",
    "typing",
}


def test_the_tree_of_the_tests_is_that_of_the_package():
    assert {path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"} <= ROOMS_OF_TESTS


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_test_module_imports_anothers_tests(path):
    """They would run twice; what several of them need is in `support`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            spelled = [getattr(node, "module", None) or "", *(one.name for one in node.names)]
            assert not [name for name in spelled if re.search(r"(^|\.)test_", name)], f"line {node.lineno}"


OF_THE_FRONTS = {"_client", "_stream", "_batch"}  # of the blocking faces in support/live.py, not of llmnet
PRIVATE = re.compile(r"_[a-zA-Z]\w*")


def defined_names():
    """All names that llmnet defines; those with a leading underscore are private."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield node.id if isinstance(node, ast.Name) else node.attr


def used_names(node):
    """The names by which a node reaches into another object or module."""
    if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
        return [node.attr]
    if isinstance(node, ast.ImportFrom):
        return [one.name for one in node.names]
    called = getattr(node, "func", None)
    if getattr(called, "attr", getattr(called, "id", "")) in ("getattr", "setattr"):
        return [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return []


def without_reason(text, private):
    """The private names that a test uses on lines that have no comment: (line, name)."""
    if not re.search(r"\b_[a-zA-Z]", text):
        return
    used = [(node, name) for node in ast.walk(ast.parse(text)) for name in used_names(node) if name in private]
    reasons = comments(text) if used else ()
    for node, name in used:
        if not any(line in reasons for line in range(node.lineno, node.end_lineno + 1)):
            yield node.lineno, name


def comments(text):
    """The lines with a comment that is none for a linter."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {one.start[0] for one in tokens if one.type == tokenize.COMMENT and not one.string.startswith("# noqa")}


def test_private_names_are_used_only_where_a_comment_says_why():
    private = {name for name in defined_names() if PRIVATE.fullmatch(name)} - OF_THE_FRONTS
    found = {
        path.relative_to(TESTS).as_posix(): list(without_reason(path.read_text(), private))
        for path in TESTS.rglob("*.py")
    }
    assert {name: uses for name, uses in found.items() if uses} == {}


def test_a_private_name_without_a_comment_is_found():
    text = "a._x\nself._x\na._y\nfrom llmnet import _x\nsetattr(a, '_x', 1)\na._x  # why\nb = [\n    a._x,\n]\na.b._x.c"
    assert sorted(line for line, _ in without_reason(text, {"_x"})) == [1, 4, 5, 8, 10]


def test_public_names_are_sorted_and_importable():
    assert llmnet.__all__ == sorted(llmnet.__all__)
    for name in llmnet.__all__:
        assert getattr(llmnet, name) is not None
    assert set(llmnet.__all__) <= set(dir(llmnet))


def test_import_loads_no_http_library():
    program = (
        "import sys, llmnet; bad = {'requests', 'urllib3', 'httpx', 'asyncio', 'ssl', 'msgspec', 'socket'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
