"""What the environment adds to a config: where calls go, how they are paid for, and what must never be seen."""

import dataclasses
from collections.abc import Mapping

from llmnet.config import FAKE_URL, ApiKey, ClientConfig
from llmnet.core.errors import ConfigurationError
from llmnet.core.request import checked_headers, checked_key
from llmnet.providers.addresses import azure_address, checked_url, completed
from llmnet.providers.form import Target
from llmnet.providers.services import AZURE, DASHSCOPE, FAKE, SERVICES, Api, Service

_SECRET_WORDS = ("auth", "key", "token", "secret", "cookie")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a config means in an environment.

    Attributes:
        target: where calls go.
        api: the wire form.
        key: the key, a callable that gives one, or `None` where none is sent.
        model: default model.
        secrets: values that must never be seen.
    """

    target: Target
    api: Api
    key: ApiKey | None = dataclasses.field(repr=False)
    model: str | None
    secrets: tuple[str, ...] = dataclasses.field(repr=False)


def resolve(config: ClientConfig, environ: Mapping[str, str]) -> Resolved:
    """Find address, wire form and key.

    Raises:
        ConfigurationError: one of them is missing; the message names the variable and the argument to set.
    """
    service = SERVICES[config.provider]
    base, api_name, deployment = address(config, environ)
    key, scheme = _credential(config, service, environ, has_base=base != service.base_url)
    api = service.apis[api_name]
    target = Target(
        service=service,
        api=api_name,
        base_url=base,
        api_version=_api_version(config, api_name, base, environ),
        scheme=scheme,
        headers=_headers(config, service, environ),
        user_agent=user_agent(),
    )
    secrets = tuple(filter(None, (key if isinstance(key, str) else None, *_secret_headers(target.headers))))
    return Resolved(target=target, api=api, key=key, model=config.model or deployment, secrets=secrets)


def user_agent() -> str:
    """What we call ourselves, the same in both fronts."""
    from llmnet import __version__  # noqa: PLC0415 - the version stands in the package, which loads this file lazily

    return f"llmnet/{__version__}"


def address(config: ClientConfig, environ: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Base address, wire form and, where Azure's address names one, deployment."""
    service = SERVICES[config.provider]
    usual = config.api or next(iter(service.apis))
    base = config.base_url or _base_from(service, usual, environ) or service.base_url
    if service is FAKE and not base:
        return FAKE_URL, usual, None
    if not base:
        variable = service.base_vars[0].name
        raise ConfigurationError(f"no address for {service.name}: give base_url= or set {variable}")
    if service is AZURE:
        return azure_address(base, config.api, service.apis)
    return completed(base, service.apis[usual].path) if service.bare_host else base, usual, None


def _base_from(service: Service, api: str, environ: Mapping[str, str]) -> str | None:
    for variable in service.base_vars:
        value = environ.get(variable.name, "").strip()
        if value and (not variable.apis or api in variable.apis):
            return checked_url(value, variable.name).rstrip("/") + variable.suffix
    return _dashscope_host(environ) if service is DASHSCOPE else None


def _dashscope_host(environ: Mapping[str, str]) -> str | None:
    """Workspace and region name a host of their own (PROTOCOLS 4.1)."""
    workspace = environ.get("DASHSCOPE_WORKSPACE") or environ.get("DASHSCOPE_WORKSPACE_ID")
    region = environ.get("DASHSCOPE_REGION") or environ.get("DASHSCOPE_API_REGION")
    return f"https://{workspace}.{region}.maas.aliyuncs.com" if workspace and region else None


def _credential(
    config: ClientConfig, service: Service, environ: Mapping[str, str], *, has_base: bool
) -> tuple[ApiKey | None, str]:
    scheme = {"anthropic": "x-api-key", "azure": "api-key"}.get(service.name, "bearer")
    if service is DASHSCOPE and config.api == "anthropic":
        scheme = "x-api-key"
    if callable(config.api_key):
        return config.api_key, "bearer" if service is AZURE else scheme
    given = checked_key(config.api_key)
    if given is not None:
        return given, scheme
    for variable, sent_as in service.key_vars:
        if value := checked_key(environ.get(variable)):
            return value, scheme if sent_as == "bearer" and service.name not in ("anthropic", "azure") else sent_as
    if not (has_base or service.keyless or _has_credential(config.headers)):
        variables = " or ".join(variable for variable, _ in service.key_vars)
        raise ConfigurationError(f"no key for {service.name}: give api_key= or set {variables}")
    return None, scheme


def _api_version(config: ClientConfig, api: str, base: str, environ: Mapping[str, str]) -> str | None:
    if SERVICES[config.provider] is not AZURE:
        return None
    if config.api_version or api != "deployments" or "api-version=" in base:
        return config.api_version
    version = environ.get("OPENAI_API_VERSION", "").strip()
    if not version:
        raise ConfigurationError(
            "Azure's deployments form needs a version: give api_version= or set OPENAI_API_VERSION"
        )
    return version


def _headers(config: ClientConfig, service: Service, environ: Mapping[str, str]) -> dict[str, str | None]:
    from_env: dict[str, str | None] = {
        header: environ[variable].strip()
        for variable, header in service.env_headers.items()
        if environ.get(variable, "").strip()
    }
    checked_headers(from_env, "the environment's headers")
    return {**from_env, **{name.lower(): value for name, value in (config.headers or {}).items()}}


def _secret_headers(headers: Mapping[str, str | None]) -> list[str]:
    """Values of headers that hold a credential: the whole, and what stands behind the scheme's name."""
    values = [v for name, v in headers.items() if v and any(word in name.lower() for word in _SECRET_WORDS)]
    return [part for value in values for part in {value, value.rpartition(" ")[2]}]


def _has_credential(headers: Mapping[str, str | None] | None) -> bool:
    return any(
        name.lower() in ("authorization", "x-api-key", "api-key") and value for name, value in (headers or {}).items()
    )
