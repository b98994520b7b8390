"""The wire forms, a service as a row of `services.py` describes it, and a target: the service at an address.

A wire form is how an API writes requests, replies, streams and errors; `Service.apis` says which of them it offers.
"""

import functools
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import msgspec

if TYPE_CHECKING:
    from llmnet.providers.form import Form

CHAT, RESPONSES, MESSAGES, NATIVE = "chat-completions", "responses", "messages", "native"

# name: (module, class); the module is imported when a client uses the form.
WIRE_FORMS = {
    CHAT: ("llmnet.providers.openai_chat", "ChatCompletions"),
    RESPONSES: ("llmnet.providers.responses", "Responses"),
    MESSAGES: ("llmnet.providers.anthropic", "Messages"),
    NATIVE: ("llmnet.providers.dashscope", "Native"),
}

# Hosts whose embeddings come in base64 (docs/vendors.md, Embeddings), and hosts that refuse `stream_options`.
_BASE64 = ("openai.com", "openai.azure.com", "cognitiveservices.azure.com", "aliyuncs.com")
_NO_STREAM_OPTIONS = ("mistral.ai",)
# Hosts that have JSON mode, and no schema for most of their models (docs/vendors.md, Structured output).
_JSON_MODE = ("aliyuncs.com", "deepseek.com", "moonshot.ai", "moonshot.cn", "bigmodel.cn", "z.ai")


class Api(msgspec.Struct, frozen=True):
    """One of a service's APIs: a wire form at a path.

    Attributes:
        form: the name of the wire form.
        path: the path that is appended to a bare host.
    """

    form: str = CHAT
    path: str = ""


class BaseVariable(msgspec.Struct, frozen=True):
    """An environment variable that holds an address; `suffix` is appended, `apis` limits it to those APIs."""

    name: str
    suffix: str = ""
    apis: tuple[str, ...] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One service.

    Attributes:
        name: the value of `provider`.
        aliases: other names of it.
        families: beginnings of model names that no other vendor uses.
        tagged: whether its models' names may contain a colon, as in `llama3:8b`.
        base_url: its public address, with the version path where it has only one API.
        apis: its APIs by the names that `api=` takes, the usual one first.
        key_vars: environment variables of the key, each with its scheme; the first that is set wins.
        base_vars: environment variables of the address.
        keyless: whether it works without a key.
        env_headers: environment variables that are sent as headers.
        bare_host: whether the API's path is appended to a bare host.
        usage_in_streams: whether it accepts `stream_options.include_usage`.
        base64_vectors: whether embeddings may be asked for in base64, whatever the host.
        lacks: parameters of OpenAI that it refuses even with their default value.
        json_mode: whether it has JSON mode, and no schema for most of its models.
        returns_reasoning: whether `reasoning_content` must be sent back in the next turn.
        renames: parameters that have another name there.
        embed_limits: inputs in one request by prefix of the model's name; `""` is any model.
        codes: names of errors, as in `error_codes.CORRECTIONS`, to keys of `error_codes.CATEGORIES`.
        messages: pieces of messages to such keys, for vendors whose codes are too vague.
    """

    name: str
    aliases: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    tagged: bool = False
    base_url: str = ""
    apis: Mapping[str, Api] = msgspec.field(default_factory=lambda: {CHAT: Api()})
    key_vars: tuple[tuple[str, str], ...] = ()
    base_vars: tuple[BaseVariable, ...] = ()
    keyless: bool = False
    env_headers: Mapping[str, str] = {}
    bare_host: bool = False
    usage_in_streams: bool = True
    base64_vectors: bool = False
    lacks: tuple[str, ...] = ()
    json_mode: bool = False
    returns_reasoning: bool = False
    renames: Mapping[str, str] = {}
    embed_limits: Mapping[str, int] = msgspec.field(default_factory=lambda: {"": 2048})
    codes: Mapping[str, str] = {}
    messages: Mapping[str, str] = {}

    def embed_limit(self, model: str) -> int:
        """How many inputs one request for this model may hold."""
        return self.embed_limits[max(filter(model.lower().startswith, self.embed_limits), key=len)]


def by_name(**names: str) -> dict[str, str]:
    """A table of names from those of each category of errors, with blanks between them."""
    return {name: category for category, listed in names.items() for name in listed.split()}


class Target(msgspec.Struct, frozen=True, kw_only=True, dict=True):  # what follows from its fields is kept in the dict
    """Where the calls of a client go and how they are paid for, all settings resolved; its repr shows no credential.

    Attributes:
        service: the row of the service.
        api: the name of the API among those of the service.
        base_url: the address that the form's path is appended to; its query is kept.
        api_version: Azure's, where it is to be sent.
        scheme: how a key is sent: `bearer`, `x-api-key` or `api-key`.
        headers: extra headers, which replace ours; `None` removes one.
        user_agent: the value of that header.
    """

    service: Service
    api: str
    base_url: str
    api_version: str | None = None
    scheme: str = "bearer"
    headers: Mapping[str, str | None] = {}
    user_agent: str = "llmnet"

    def __repr__(self) -> str:
        return f"Target(service={self.service.name!r}, api={self.api!r}, host={self.host!r})"

    @functools.cached_property
    def host(self) -> str:
        """Host and port, as error messages and shared state name them."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    def is_at(self, *domains: str) -> bool:
        """Whether the host is one of some domains, or a subdomain of one."""
        host = urlsplit(self.base_url).hostname or ""
        return any(host == domain or host.endswith(f".{domain}") for domain in domains)

    @functools.cached_property
    def usage_in_streams(self) -> bool:
        """Whether a stream may be asked for its usage; not so at addresses that are known to refuse that."""
        if self.api == "deployments":
            in_query = dict(parse_qsl(urlsplit(self.base_url).query))
            version = self.api_version or in_query.get("api-version")
            if version and version < "2024-09":  # older versions of Azure refuse `stream_options`
                return False
        return self.service.usage_in_streams and not self.is_at(*_NO_STREAM_OPTIONS)

    @functools.cached_property
    def takes_schemas(self) -> bool:
        """Whether a reply may be asked for by its JSON schema, by what is known of the service and of the host."""
        return not self.service.json_mode and not self.is_at(*_JSON_MODE)

    @functools.cached_property
    def signs_thinking(self) -> bool:
        """Whether it takes back only thinking that it has signed; other hosts sign nothing."""
        return self.is_at("anthropic.com")

    @property
    def base64_vectors(self) -> bool:
        """Whether vectors may be asked for in base64: only at hosts that are known to support it."""
        return self.service.base64_vectors or self.is_at(*_BASE64)


def make_form(name: str, target: Target) -> "Form":
    """The wire form of that name for a target."""
    module, cls = WIRE_FORMS[name]
    form: Form = getattr(import_module(module), cls)(target)
    return form
