"""What all wire forms share: addresses, credentials, parameters by table, errors, model lists and embeddings."""

import base64
import dataclasses
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from llmnet.core.chat import EmbeddingResponse, ModelInfo, StreamChunk, Usage
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import APIStatusError, ConfigurationError, InvalidResponseError
from llmnet.core.http import Request, merged
from llmnet.core.json import decode, encode, mended
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.faults import find_error, status_error
from llmnet.providers.services import Service

# What a parameter becomes: another name, what to merge into the body, or REFUSED where the vendor has no counterpart.
Rule = str | Callable[[Any], dict[str, Any]] | None
REFUSED: Rule = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the calls of a client go and how they are paid for, all settings resolved.

    Attributes:
        service: the row of the service.
        api: the name of the wire form among those of the service.
        base_url: the address that the form's path is appended to; its query is kept.
        api_version: Azure's, where it is to be sent.
        scheme: how a key is sent: `bearer`, `x-api-key` or `api-key`.
        headers: extra headers, laid over ours; `None` removes one.
        user_agent: what we call ourselves.
    """

    service: Service
    api: str
    base_url: str
    api_version: str | None = None
    scheme: str = "bearer"
    headers: Mapping[str, str | None] = dataclasses.field(default_factory=dict, repr=False)
    user_agent: str = "llmnet"

    @property
    def host(self) -> str:
        """Host and port, for messages and for what is shared by host."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]


class Form:
    """A wire form for one target; subclasses say what differs."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.provider = target.service.name

    # -- what a subclass says -----------------------------------------------------------------------------------------

    def prepare(self, chat: ChatRequest) -> Request:
        """The request that asks for a chat, without a credential."""
        raise NotImplementedError

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """Read a whole reply."""
        raise NotImplementedError

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Read one event of a stream."""
        raise NotImplementedError

    # -- requests -----------------------------------------------------------------------------------------------------

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """An address below the base; the base's query is kept, Azure's version added."""
        version = {"api-version": self.target.api_version} if self.target.api_version else {}
        return below(self.target.base_url, path, {**version, **(query or {})})

    def post(self, url: str, body: Mapping[str, Any], *, stream: bool = False) -> Request:
        """A POST of JSON."""
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if stream else "application/json",
            # A compressed stream is held back until its compressor has a block full.
            "accept-encoding": "identity" if stream else "gzip, deflate",
        }
        return self._request("POST", url, headers, encode(dict(body)))

    def get(self, url: str) -> Request:
        """A GET of JSON."""
        return self._request("GET", url, {"accept": "application/json", "accept-encoding": "gzip, deflate"}, None)

    def _request(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Request:
        ours = {"user-agent": self.target.user_agent, **headers, **self.own_headers()}
        return Request(method=method, url=url, headers=merged(ours, self.target.headers), body=body)

    def own_headers(self) -> dict[str, str]:
        """Headers that this form always sends."""
        return {}

    def authorise(self, request: Request, key: str | None) -> Request:
        """The request with its credential; one that the caller put into `headers` stands."""
        if key is None:
            return request
        name, value = {"bearer": ("authorization", f"Bearer {key}")}.get(self.target.scheme, (self.target.scheme, key))
        given = {header.lower() for header in self.target.headers}
        return request if name in request.headers or name in given else request.with_headers({name: value})

    # -- replies ------------------------------------------------------------------------------------------------------

    def parse_event(self, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Read one event: empty ones say nothing, `[DONE]` ends the stream, an error is raised."""
        data = event.data.strip()
        if not data:
            return None
        if data.startswith("[DONE]"):
            self.done(draft)
            return None
        payload = self.payload_of(data)
        if not isinstance(payload, dict):
            return None
        if self.find_error(payload):
            raise self.event_error(payload, event)
        return self.read_event(payload, event, draft)

    def payload_of(self, data: str) -> Any:
        """The JSON of an event."""
        try:
            return decode(data)
        except ValueError as error:
            raise InvalidResponseError(f"an event of the stream is no JSON ({error}): {data[:200]!r}") from None

    def done(self, draft: Draft) -> None:
        """`[DONE]` was sent; forms that end with an event of their own take no notice."""

    def event_error(self, payload: Any, event: ServerSentEvent) -> APIStatusError:
        """The error of an error event."""
        return self.parse_error(200, {}, payload)

    def parse_error(
        self, status: int, headers: Mapping[str, str], payload: Any, said: int | None = None
    ) -> APIStatusError:
        """The typed error of an error body."""
        return status_error(self.target.service.codes, status, headers, payload, said)

    def find_error(self, payload: Any) -> bool:
        """Whether the JSON of a success is an error."""
        return find_error(payload)

    def message(self, draft: Draft) -> dict[str, Any]:
        """The assistant message for the next turn."""
        return chat_message(draft)

    # -- models and embeddings, in OpenAI's form unless a subclass says otherwise -----------------------------------

    def models_request(self, cursor: str | None) -> Request:
        """The request for a page of the model list."""
        return self.get(self.url("/models"))

    def parse_models(self, payload: Any) -> tuple[list[ModelInfo], str | None]:
        """The models of a page, and the cursor of the next one."""
        return [model_info(item, "id") for item in items_of(payload, "data")], None

    def embed_request(self, inputs: list[Any], model: str, params: Mapping[str, Any]) -> Request:
        """The request for the vectors of some inputs."""
        encoding = {"encoding_format": "base64"} if self.target.service.base64_vectors else {}
        given = {name: value for name, value in params.items() if value is not None}
        return self.post(self.url("/embeddings"), {"model": model, "input": inputs, **encoding, **given})

    def parse_embeddings(self, payload: Any, size: int) -> EmbeddingResponse:
        """The vectors of one request for that many inputs, in their order."""
        rows = sorted(items_of(payload, "data"), key=lambda row: row.get("index") or 0)
        check_size(rows, size)
        return EmbeddingResponse(
            vectors=[vector_of(row.get("embedding")) for row in rows],
            model=text_of(payload.get("model")),
            usage=usage_of(payload.get("usage"), CHAT_USAGE) or Usage(),
            raw=payload,
        )


def below(base_url: str, path: str, query: Mapping[str, Any]) -> str:
    """An address below a base whose own query stays."""
    parts = urlsplit(base_url)
    kept = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    asked = urlencode({name: value for name, value in query.items() if name not in kept and value is not None})
    whole = "&".join(filter(None, (parts.query, asked)))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, whole, ""))


def translated(params: Mapping[str, Any], rules: Mapping[str, Rule], form: str) -> dict[str, Any]:
    """Parameters by a form's table; those that it does not name pass as they are.

    Raises:
        ConfigurationError: the form has no counterpart for one of them.
    """
    body: dict[str, Any] = {}
    for name, value in params.items():
        rule = rules.get(name, name)
        if rule is None:
            raise ConfigurationError(f"{name} has no counterpart in the {form} form; leave it out for this provider")
        merge(body, {rule: value} if isinstance(rule, str) else rule(value))
    return body


def merge(body: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay values into a body, dicts within dicts."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(body.get(name), dict):
            body[name] = {**body[name]}
            merge(body[name], value)
        else:
            body[name] = value


def items_of(payload: Any, name: str) -> list[dict[str, Any]]:
    """A list of objects in a reply.

    Raises:
        InvalidResponseError: there is none.
    """
    items = payload.get(name) if isinstance(payload, dict) else None
    if not isinstance(items, list):
        raise InvalidResponseError(f"the reply has no list {name!r}: {str(payload)[:200]}")
    return [item for item in items if isinstance(item, dict)]


def check_size(rows: list[dict[str, Any]], size: int) -> None:
    """Refuse a reply that has another number of vectors than inputs were sent."""
    if len(rows) != size:
        raise InvalidResponseError(f"the reply has {len(rows)} vectors for {size} inputs")


def text_of(value: Any) -> str:
    """A text as it is; anything else is none."""
    return value if isinstance(value, str) else ""


def model_info(item: dict[str, Any], name: str) -> ModelInfo:
    """One row of a model list."""
    return ModelInfo(id=text_of(item.get(name)), retires_at=retirement(item), raw=item)


def retirement(item: Mapping[str, Any]) -> str | None:
    """The date on which a model retires, wherever the vendor puts it."""
    lifecycle = item.get("lifecycle")
    places = (item, lifecycle if isinstance(lifecycle, dict) else {})
    names = ("retires_at", "retirement_date", "deprecation_date", "shutdown_date", "expires_at")
    return next((str(place[name]) for place in places for name in names if place.get(name)), None)


def vector_of(value: Any) -> list[float]:
    """A vector from numbers or from base64 of little-endian float32 (PROTOCOLS 1.5)."""
    if isinstance(value, list):
        return [float(x) for x in value]
    try:
        packed = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    except (TypeError, ValueError, struct.error):
        raise InvalidResponseError(f"an embedding is neither numbers nor base64: {str(value)[:80]}") from None


Paths = Mapping[str, Iterable[tuple[str, ...]]]

# Where each figure stands (PROTOCOLS 7.2); the first place that holds a number wins.
CHAT_USAGE: Paths = {
    "input_tokens": (("prompt_tokens",), ("input_tokens",)),
    "output_tokens": (("completion_tokens",), ("output_tokens",)),
    "total_tokens": (("total_tokens",),),
    "cached_tokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
    ),
    "cache_write_tokens": (
        ("prompt_tokens_details", "cache_write_tokens"),
        ("prompt_tokens_details", "cache_creation_input_tokens"),
        ("input_tokens_details", "cache_write_tokens"),
    ),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens"),
    ),
}  # fmt: skip


def usage_of(payload: Any, paths: Paths) -> Usage | None:
    """A usage from a vendor's object; a missing total is the sum where both parts are known."""
    if not isinstance(payload, dict):
        return None
    found = {name: _number_at(payload, places) for name, places in paths.items()}
    if found.get("total_tokens") is None:
        parts = (found.get("input_tokens"), found.get("output_tokens"))
        found["total_tokens"] = None if None in parts else sum(part or 0 for part in parts)
    return Usage(**found) if any(value is not None for value in found.values()) else None


def _number_at(payload: Any, places: Iterable[tuple[str, ...]]) -> int | None:
    for place in places:
        value = payload
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


VENDOR = "vendor"


def with_items(message: dict[str, Any], form: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """An assistant message that also carries the vendor's own items, for the next turn with the same wire form."""
    own = {"form": form, "items": mended(items), "content": message["content"]}
    return {**message, VENDOR: own} if items else message


def items_in(message: Mapping[str, Any], form: str) -> list[dict[str, Any]] | None:
    """The vendor's own items in a message, if they are of this form and the caller has not rewritten the text."""
    own = message.get(VENDOR)
    if not isinstance(own, dict) or own.get("form") != form or own.get("content") != message.get("content"):
        return None
    items = own.get("items")
    return items if isinstance(items, list) else None
