"""Where a config's calls go: its own address, or that of the provider's variable, or the public one of its service."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from llmnet.core.errors import ConfigurationError
from llmnet.providers.addresses import azure_address, checked_base, checked_url, completed, extended
from llmnet.providers.model_names import ModelNames
from llmnet.providers.services import AZURE, DASHSCOPE, FAKE, QIANFAN, SERVICES
from llmnet.providers.target import Service

if TYPE_CHECKING:
    from llmnet.config.fields import ClientConfig

FAKE_URL = "fake:"

# Qianfan's old interface (docs/vendors.md, Addresses and keys).
_V1_HOSTS = ("aip.baidubce.com", "wenxinworkshop")
V1_IS_OFF = (
    "Qianfan v1, which Baidu has switched off; v2 takes a bearer key (bce-v3/…): give it as api_key= or set "
    "QIANFAN_BEARER_TOKEN, and leave the address to the default, https://qianfan.baidubce.com/v2"
)


class Address(msgspec.Struct, frozen=True):
    """Where calls go.

    Attributes:
        base_url: the base.
        api: the name of the API among those of the service.
        deployment: the one that Azure's address names.
        own: whether it is the caller's own, and not the vendor's; then no key is needed.
        placed: whether an argument or a variable names it.
    """

    base_url: str
    api: str
    deployment: str | None = None
    own: bool = False
    placed: bool = False


def address(config: "ClientConfig", environ: Mapping[str, str]) -> Address:
    """Where a config's calls go.

    Raises:
        ConfigurationError: nothing says where, or what does is no address, or the model is another provider's.
    """
    where = _address(config, environ)
    if config.model is not None and not config.is_split:
        model_names(config, where).check(config.model)
    return where


def model_names(config: "ClientConfig", where: Address) -> ModelNames:
    """How the names of models are read at an address."""
    return ModelNames(service=SERVICES[config.provider], named=config.is_named, placed=where.placed)


def _address(config: "ClientConfig", environ: Mapping[str, str]) -> Address:
    service = SERVICES[config.provider]
    api = config.api or next(iter(service.apis))
    named = config.base_url or _variable(service, api, environ)
    base = named or _workspace(service, environ) or service.base_url
    if service is FAKE and not base:
        return Address(FAKE_URL, api)
    if not base:
        raise ConfigurationError(f"no address for {service.name}: give base_url= or set {service.base_vars[0].name}")
    if service is QIANFAN:
        _refuse_v1(base, "base_url" if config.base_url else service.base_vars[0].name)
    if service is AZURE:  # its variable names an address of the vendor's
        return Address(*azure_address(base, config.api, service.apis), own=config.base_url is not None, placed=True)
    if config.base_url:
        checked_base(config.base_url, "base_url")
    complete = completed(base, service.apis[api].path) if service.bare_host else base
    return Address(complete, api, own=named is not None, placed=named is not None)


def _variable(service: Service, api: str, environ: Mapping[str, str]) -> str | None:
    """The address in the first of a service's variables that is set and meant for the API."""
    for variable in service.base_vars:
        value = read(environ, variable.name)
        if value and (not variable.apis or api in variable.apis):
            url = checked_url(value, variable.name)
            return extended(url if service is AZURE else checked_base(url, variable.name), variable.suffix)
    if service is QIANFAN:
        _refuse_v1(read(environ, "QIANFAN_BASE_URL"), "QIANFAN_BASE_URL")
    return None


def _workspace(service: Service, environ: Mapping[str, str]) -> str | None:
    """DashScope's workspace and region name a host of their own (docs/vendors.md, Variables)."""
    workspace = read(environ, "DASHSCOPE_WORKSPACE") or read(environ, "DASHSCOPE_WORKSPACE_ID")
    region = read(environ, "DASHSCOPE_REGION") or read(environ, "DASHSCOPE_API_REGION")
    if service is not DASHSCOPE or not (workspace and region):
        return None
    host, name = f"{workspace}.{region}.maas.aliyuncs.com", "the host of DASHSCOPE_WORKSPACE and DASHSCOPE_REGION"
    url = checked_url(f"https://{host}", name)
    if urlsplit(url).netloc != host:
        raise ConfigurationError(f"{name} is no name that a host can have")
    return url


def _refuse_v1(base: str, name: str) -> None:
    if any(mark in base.lower() for mark in _V1_HOSTS):
        raise ConfigurationError(f"{name} is an address of {V1_IS_OFF}")


def read(environ: Mapping[str, str], name: str) -> str:
    """A variable without surrounding blanks, "" where it is not set."""
    return environ.get(name, "").strip()
