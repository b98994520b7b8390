"""What a row of `services.py` can say: the type `Service`, its APIs, and its variables."""

from collections.abc import Mapping

import msgspec

from llmnet.providers.wire_forms import CHAT


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """One of a service's APIs: a wire form at a path.

    Attributes:
        form: the name of the wire form.
        path: the path that is appended to a bare host.
    """

    form: str = CHAT
    path: str = ""


class BaseVariable(msgspec.Struct, frozen=True, kw_only=True):
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
        prefix = max((p for p in self.embed_limits if model.lower().startswith(p)), key=len, default="")
        return self.embed_limits.get(prefix, 2048)
