"""The libraries that are measured: what is imported of each, and which are installed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import MappingProxyType

FRONTS = ("sync", "async")


@dataclass(frozen=True)
class Library:
    """One way to ask a model.

    Attributes:
        name: its name here; its module in `benchmarks.peers` has the same name with an underscore before it.
        package: what is imported, of the package that is installed.
        classes: the client of each front that it has.
        against: the entry of llmnet that it is compared with, which uses the same API.
        environ: variables that keep it from using the network otherwise.
    """

    name: str
    package: str
    classes: Mapping[str, str]
    against: str = "llmnet"
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def module(self) -> str:
        """The module with its calls."""
        return f"benchmarks.peers._{self.name.replace('-', '_')}"

    @property
    def installed(self) -> str:
        """What is installed."""
        return self.package.partition(".")[0]

    @property
    def present(self) -> bool:
        """Whether it can be imported."""
        return find_spec(self.installed) is not None

    @property
    def version(self) -> str:
        """The version that is measured."""
        try:
            return version(self.installed)
        except PackageNotFoundError:  # a checkout of llmnet
            return import_module(self.installed).__version__


def _both(sync: str, asynchronous: str) -> dict[str, str]:
    return dict(zip(FRONTS, (sync, asynchronous), strict=True))


_OWN = _both("Client", "AsyncClient")
LIBRARIES = [
    Library("llmnet", "llmnet", _OWN),
    Library("requests", "requests", {"sync": "Session"}),
    Library("urllib3", "urllib3", {"sync": "PoolManager"}),
    Library("httpx", "httpx", _both("Client", "AsyncClient")),
    Library("httpx2", "httpx2", _both("Client", "AsyncClient")),
    Library("aiohttp", "aiohttp", {"async": "ClientSession"}),
    Library("pyreqwest", "pyreqwest.client", _both("SyncClientBuilder", "ClientBuilder")),
    Library("openai", "openai", _both("OpenAI", "AsyncOpenAI")),
    Library(
        "litellm",
        "litellm",
        _both("completion", "acompletion"),
        environ={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},  # or its import would contact another server
    ),
    Library("llmnet-messages", "llmnet", _OWN, against="llmnet-messages"),
    Library("anthropic", "anthropic", _both("Anthropic", "AsyncAnthropic"), against="llmnet-messages"),
]
BY_NAME = {library.name: library for library in LIBRARIES}
PEERS = [library.name for library in LIBRARIES if library.against != library.name]


def chosen(names: Iterable[str]) -> list[Library]:
    """The libraries of these names and those that they are compared with, in the order of the table."""
    wanted = {"llmnet", *names}
    wanted |= {BY_NAME[name].against for name in wanted}
    return [library for library in LIBRARIES if library.name in wanted]
