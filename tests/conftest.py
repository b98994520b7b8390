"""What all tests share: a fake server, and an environment without the keys and proxies of whoever runs them."""

import asyncio
import os
import socket
import sys
import warnings

import pytest
from hypothesis import settings
from support.live import ENGINE, Async, Sync

from llmnet.providers.services import SERVICES
from llmnet.testing import FakeServer
from llmnet.transports.aio import transport
from llmnet.transports.sync import transport as sync_transport

# No test is about how long an example takes: that is the machine's business.
settings.register_profile("llmnet", deadline=None)
settings.load_profile("llmnet")

# Threads take turns so often that a step between look and act is met by another: LLMNET_SWITCH_INTERVAL=1e-6.
if os.environ.get("LLMNET_SWITCH_INTERVAL"):
    sys.setswitchinterval(float(os.environ["LLMNET_SWITCH_INTERVAL"]))

# Every loop of the process is uvloop's, also those of `asyncio.run`: LLMNET_LOOP=uvloop.
if os.environ.get("LLMNET_LOOP") == "uvloop":
    import uvloop

    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # Python 3.14 has no other switch yet
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(asyncio.sleep(0))  # libuv keeps a pipe from the first loop on, which is no leak

_EXTRA = (
    "LLMNET_MODEL",
    "OPENAI_API_VERSION",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "DASHSCOPE_REGION",
    "DASHSCOPE_API_REGION",
    "QIANFAN_BASE_URL",
    "QIANFAN_ACCESS_KEY",
    "QIANFAN_SECRET_KEY",
    "QIANFAN_ACCESS_TOKEN",
    "QIANFAN_AK",
    "QIANFAN_SK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    names = {variable for service in SERVICES.values() for variable, _ in service.key_vars}
    names |= {variable.name for service in SERVICES.values() for variable in service.base_vars}
    names |= {variable for service in SERVICES.values() for variable in service.env_headers}
    names |= {name for name in os.environ if name.lower().endswith("_proxy")} | set(_EXTRA)
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLMNET_CONFIG", os.devnull)


@pytest.fixture(autouse=True)
def _engine(request, monkeypatch):
    """One engine for all async tests: respx, which pytest itself loads, would keep `auto` from the fast one."""
    if request.node.get_closest_marker("mocks") is None:
        monkeypatch.setattr(sync_transport, "MOCKS", ())
        monkeypatch.setattr(transport, "MOCKS", ("sys",) if ENGINE == "httpx" else ())


@pytest.fixture(scope="session")
def _one_server():
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(_one_server):
    """The session's server, with nothing scripted and nothing counted."""
    _one_server.reset()
    _one_server.handler = None
    yield _one_server
    _one_server.release()
    _one_server.reset()


@pytest.fixture
def names(monkeypatch):
    """Any name that ends in `.test` is this machine."""
    real = socket.getaddrinfo

    def found(host, *args, **kwargs):
        return real("127.0.0.1" if host.endswith(".test") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.fixture(params=["sync", "async"])
def front(request):
    """Each of the fronts, with the same blocking face."""
    if request.param == "sync":
        yield Sync()
    else:
        yield from _running()


@pytest.fixture
def awaited():
    """The async front alone."""
    yield from _running()


def _running():
    front = Async()
    yield front
    front.stop()


def pytest_ignore_collect(collection_path, config):
    """LangChain takes seconds to import, in every worker: not where its tests, all of them slow, are left out anyway."""
    return True if collection_path.name == "test_langchain.py" and "not slow" in config.getoption("markexpr") else None


def pytest_collection_modifyitems(config, items):
    """Where `-m` names other marks, as `-m threads`, what takes minutes is left out as it is without `-m`."""
    named = config.getoption("markexpr")
    if named and "heavy" not in named:
        heavy = [item for item in items if item.get_closest_marker("heavy")]
        config.hook.pytest_deselected(items=heavy)
        items[:] = [item for item in items if item not in heavy]


def pytest_terminal_summary(terminalreporter):
    """Count the rows of the fault matrix: a row has passed on a front if all its cases there have."""
    ran = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for row, front in (value for name, value in report.user_properties if name == "matrix"):
                ran.setdefault(front, {}).setdefault(row, []).append(outcome == "passed")
    for front, rows in sorted(ran.items()):
        passed = sum(all(cases) for cases in rows.values())
        terminalreporter.write_line(f"fault matrix, {front}: {len(rows)} rows run, {passed} passed")
    if ran:
        rows = set().union(*ran.values())
        passed = sum(all(all(front.get(row, [True])) for front in ran.values()) for row in rows)
        terminalreporter.write_line(f"fault matrix, both fronts: {len(rows)} of 136 rows run, {passed} passed")


def pytest_runtest_setup(item):
    """Hand the row of a case on to its report."""
    if mark := item.get_closest_marker("matrix"):
        item.user_properties.append(("matrix", mark.args))
