"""Adds the environment to a config: address, API, key and headers of its calls, and the secrets to hide."""

from collections.abc import Mapping

import msgspec

from llmnet.config.address import V1_IS_OFF, Address, address, model_names, read
from llmnet.config.checks import ApiKey
from llmnet.config.fields import ClientConfig
from llmnet.core.credentials import in_headers, in_proxy, in_query
from llmnet.core.errors import ConfigurationError
from llmnet.core.headers import checked_headers, checked_key
from llmnet.core.request import plain_text
from llmnet.providers.model_names import ModelNames
from llmnet.providers.services import AZURE, QIANFAN, SERVICES
from llmnet.providers.target import MESSAGES, Service, Target

# Headers that may stand in for the key.
CREDENTIALS = ("authorization", "x-api-key", "api-key")

# Keys of Qianfan's old interface (docs/vendors.md, Addresses and keys).
_V1_KEYS = (("QIANFAN_ACCESS_KEY", "QIANFAN_SECRET_KEY"), ("QIANFAN_AK", "QIANFAN_SK"), ("QIANFAN_ACCESS_TOKEN",))


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a config means in an environment; its repr shows no credential.

    Attributes:
        target: where calls go.
        key: the key, a callable that gives one, or `None` where none is sent.
        model: default model.
        names: how the names of other models are read.
        secrets: values that must never be shown.
    """

    target: Target
    key: ApiKey | None
    model: str | None
    names: ModelNames
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Resolved(api={self.target.api!r}, model={self.model!r})"


def resolve(config: ClientConfig, environ: Mapping[str, str]) -> Resolved:
    """Find address, API and key.

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
        key=key,
        model=config.model or where.deployment,
        names=model_names(config, where),
        secrets=_secrets(config, key, target, environ),
    )


def user_agent() -> str:
    """The `User-Agent` header, the same in both fronts."""
    from llmnet import __version__  # noqa: PLC0415 - the version stands in the package, which loads this file lazily

    return f"llmnet/{__version__}"


def _api_version(config: ClientConfig, where: Address, environ: Mapping[str, str]) -> str | None:
    if config.provider != AZURE.name:
        return None
    if config.api_version or where.api != "deployments" or "api-version=" in where.base_url:
        return config.api_version
    version = read(environ, "OPENAI_API_VERSION")
    if not version:
        raise ConfigurationError(
            "Azure's deployments form needs a version: give api_version= or set OPENAI_API_VERSION"
        )
    return plain_text(version, "OPENAI_API_VERSION")


# -- what is sent with it, and hidden ---------------------------------------------------------------------------------


def _credential(config: ClientConfig, where: Address, environ: Mapping[str, str]) -> tuple[ApiKey | None, str]:
    """The key and how it is sent."""
    service, key = SERVICES[config.provider], config.api_key
    scheme = _scheme(service, where.api)
    if key is not None:
        return key, "bearer" if service is AZURE and callable(key) else scheme
    for variable, sent_as in service.key_vars:
        if key := checked_key(environ.get(variable), variable):
            # What is not sent by the service's usual scheme is a token, which knows no other.
            return key, scheme if sent_as == _scheme(service, next(iter(service.apis))) else sent_as
    if not any(value and name.lower() in CREDENTIALS for name, value in (config.headers or {}).items()):
        _demand_key(service, where, environ)
    return None, scheme


def _scheme(service: Service, api: str) -> str:
    """How a key is sent: the wire form decides, but for Azure."""
    return "api-key" if service is AZURE else "x-api-key" if service.apis[api].form == MESSAGES else "bearer"


def _demand_key(service: Service, where: Address, environ: Mapping[str, str]) -> None:
    """Refuse that a key is missing, unless none is needed."""
    for names in _V1_KEYS if service is QIANFAN else ():
        if all(read(environ, name) for name in names):
            raise ConfigurationError(f"{' and '.join(names)} cannot be used: they belong to {V1_IS_OFF}")
    if not (where.own or service.keyless):
        wanted = [variable for variable, _ in service.key_vars]
        line = f"export {wanted[0]}='…'"
        raise ConfigurationError(f"no key for {service.name}: give api_key= or set {' or '.join(wanted)}, as by {line}")


def _headers(config: ClientConfig, service: Service, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Extra headers: those of the environment, and over them the caller's."""
    headers: dict[str, str | None] = {}
    for variable, header in service.env_headers.items():
        if value := read(environ, variable):
            headers |= checked_headers({header: value}, variable)
    return headers | {name.lower(): value for name, value in (config.headers or {}).items()}


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
