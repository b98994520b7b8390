"""What the environment adds to a config: where calls go, how they are paid for, and what must never be seen."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from llmnet.config.fields import FAKE_URL, ApiKey, ClientConfig
from llmnet.core.credentials import in_headers, in_proxy, in_query
from llmnet.core.errors import ConfigurationError
from llmnet.core.headers import checked_headers, checked_key
from llmnet.core.request import plain_text
from llmnet.providers.addresses import azure_address, checked_base, checked_url, completed, extended, host_url
from llmnet.providers.form import Target
from llmnet.providers.model_names import ModelNames
from llmnet.providers.services import AZURE, DASHSCOPE, FAKE, MESSAGES, QIANFAN, SERVICES, Api, Service

# Headers that may stand in for the key.
CREDENTIALS = ("authorization", "x-api-key", "api-key")

# What belongs to Qianfan's old interface (docs/vendors.md, Addresses and keys).
_V1_HOSTS = ("aip.baidubce.com", "wenxinworkshop")
_V1_KEYS = (
    ("QIANFAN_ACCESS_KEY", "QIANFAN_SECRET_KEY"),
    ("QIANFAN_AK", "QIANFAN_SK"),
    ("QIANFAN_ACCESS_TOKEN",),
)
_V1_IS_OFF = (
    "Qianfan v1, which Baidu has switched off; v2 takes a bearer key (bce-v3/…): give it as api_key= or set "
    "QIANFAN_BEARER_TOKEN, and leave the address to the default, https://qianfan.baidubce.com/v2"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a config means in an environment.

    Attributes:
        target: where calls go.
        api: the wire form.
        key: the key, a callable that gives one, or `None` where none is sent.
        model: default model.
        names: how the names of other models are read.
        secrets: values that must never be seen.
    """

    target: Target = dataclasses.field(repr=False)
    api: Api
    key: ApiKey | None = dataclasses.field(repr=False)
    model: str | None
    names: ModelNames
    secrets: tuple[str, ...] = dataclasses.field(repr=False)


class Address(NamedTuple):
    """Where calls go.

    Attributes:
        base_url: the base.
        api: the name of the wire form.
        deployment: the one that Azure's address names.
        own: whether it is the caller's own, and not the vendor's; then no key is asked for.
        placed: whether an argument or a variable names it.
    """

    base_url: str
    api: str
    deployment: str | None = None
    own: bool = False
    placed: bool = False


def resolve(config: ClientConfig, environ: Mapping[str, str]) -> Resolved:
    """Find address, wire form and key.

    Raises:
        ConfigurationError: one of them is missing; the message names the variable and the argument to set.
    """
    service = SERVICES[config.provider]
    where = address(config, environ)
    key, scheme = _credential(config, where, environ)
    target = Target(
        service=service,
        api=where.api,
        base_url=where.base_url,
        api_version=_api_version(config, where, environ),
        scheme=scheme,
        headers=_headers(config, service, environ),
        user_agent=user_agent(),
    )
    return Resolved(
        target=target,
        api=service.apis[where.api],
        key=key,
        model=config.model or where.deployment,
        names=_names(config, where),
        secrets=_secrets(config, key, target, environ),
    )


def user_agent() -> str:
    """What we call ourselves, the same in both fronts."""
    from llmnet import __version__  # noqa: PLC0415 - the version stands in the package, which loads this file lazily

    return f"llmnet/{__version__}"


# -- where ------------------------------------------------------------------------------------------------------------


def address(config: ClientConfig, environ: Mapping[str, str]) -> Address:
    """Where a config's calls go.

    Raises:
        ConfigurationError: nothing says where, or what does is no address, or the model is another provider's.
    """
    where = _address(config, environ)
    if config.model is not None and not config.is_split:
        _names(config, where).check(config.model)
    return where


def _names(config: ClientConfig, where: Address) -> ModelNames:
    return ModelNames(service=SERVICES[config.provider], named=config.is_named, placed=where.placed)


def _address(config: ClientConfig, environ: Mapping[str, str]) -> Address:
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
    whole = completed(base, service.apis[api].path) if service.bare_host else base
    return Address(whole, api, own=named is not None, placed=named is not None)


def _variable(service: Service, api: str, environ: Mapping[str, str]) -> str | None:
    """The address in the first of a service's variables that is set and meant for the wire form."""
    for variable in service.base_vars:
        value = _read(environ, variable.name)
        if value and (not variable.apis or api in variable.apis):
            url = checked_url(value, variable.name)
            return extended(url if service is AZURE else checked_base(url, variable.name), variable.suffix)
    if service is QIANFAN:
        _refuse_v1(_read(environ, "QIANFAN_BASE_URL"), "QIANFAN_BASE_URL")
    return None


def _workspace(service: Service, environ: Mapping[str, str]) -> str | None:
    """DashScope's workspace and region name a host of their own (docs/vendors.md, Variables)."""
    workspace = _read(environ, "DASHSCOPE_WORKSPACE") or _read(environ, "DASHSCOPE_WORKSPACE_ID")
    region = _read(environ, "DASHSCOPE_REGION") or _read(environ, "DASHSCOPE_API_REGION")
    if service is not DASHSCOPE or not (workspace and region):
        return None
    return host_url(f"{workspace}.{region}.maas.aliyuncs.com", "the host of DASHSCOPE_WORKSPACE and DASHSCOPE_REGION")


def _refuse_v1(base: str, name: str) -> None:
    if any(mark in base.lower() for mark in _V1_HOSTS):
        raise ConfigurationError(f"{name} is an address of {_V1_IS_OFF}")


def _api_version(config: ClientConfig, where: Address, environ: Mapping[str, str]) -> str | None:
    if config.provider != AZURE.name:
        return None
    if config.api_version or where.api != "deployments" or "api-version=" in where.base_url:
        return config.api_version
    version = _read(environ, "OPENAI_API_VERSION")
    if not version:
        raise ConfigurationError(
            "Azure's deployments form needs a version: give api_version= or set OPENAI_API_VERSION"
        )
    return plain_text(version, "OPENAI_API_VERSION")


# -- what is sent with it, and hidden ---------------------------------------------------------------------------------


def _credential(config: ClientConfig, where: Address, environ: Mapping[str, str]) -> tuple[ApiKey | None, str]:
    """The key and how it is sent."""
    service, given = SERVICES[config.provider], config.api_key
    scheme = _scheme(service, where.api)
    if given is not None:
        return given, "bearer" if service is AZURE and callable(given) else scheme
    for variable, sent_as in service.key_vars:
        if key := checked_key(environ.get(variable), variable):
            # What is not sent by the service's usual scheme is a token, which knows no other.
            return key, scheme if sent_as == _scheme(service, next(iter(service.apis))) else sent_as
    if not _has_credential(config.headers):
        _demand_key(service, where, environ)
    return None, scheme


def _scheme(service: Service, api: str) -> str:
    """How a key is sent: the wire form decides, but for Azure."""
    return "api-key" if service is AZURE else "x-api-key" if service.apis[api].form == MESSAGES else "bearer"


def _demand_key(service: Service, where: Address, environ: Mapping[str, str]) -> None:
    """Say that a key is missing, unless none is needed."""
    for names in _V1_KEYS if service is QIANFAN else ():
        if all(_read(environ, name) for name in names):
            raise ConfigurationError(f"{' and '.join(names)} cannot be used: they belong to {_V1_IS_OFF}")
    if not (where.own or service.keyless):
        variables = " or ".join(variable for variable, _ in service.key_vars)
        raise ConfigurationError(f"no key for {service.name}: give api_key= or set {variables}")


def _headers(config: ClientConfig, service: Service, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Extra headers: those of the environment, and over them the caller's."""
    headers: dict[str, str | None] = {}
    for variable, header in service.env_headers.items():
        if value := _read(environ, variable):
            headers |= checked_headers({header: value}, variable)
    return headers | {name.lower(): value for name, value in (config.headers or {}).items()}


def _has_credential(headers: Mapping[str, str | None] | None) -> bool:
    return any(value and name.lower() in CREDENTIALS for name, value in (headers or {}).items())


def _secrets(config: ClientConfig, key: ApiKey | None, target: Target, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Key, credential headers, and passwords of addresses and proxies."""
    # Another thread may take a variable away meanwhile.
    named = (environ.get(name, "") for name in list(environ) if name.lower().endswith("_proxy"))
    proxies = [config.proxy or "", *named]
    return (
        *([key] if isinstance(key, str) else []),
        *in_headers(target.headers),
        *in_query(target.base_url),
        *(secret for proxy in proxies for secret in in_proxy(proxy)),
    )


def _read(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()
