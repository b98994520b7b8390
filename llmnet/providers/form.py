"""What all wire forms share: addresses, credentials, parameters by table, errors, model lists and embeddings."""

import dataclasses
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from llmnet.core.chat import EmbeddingResponse, ModelInfo, StreamChunk, Usage
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import APIStatusError, InvalidResponseError
from llmnet.core.http import Request, merged
from llmnet.core.json import encode, readable
from llmnet.core.preview import cut, kept, shown
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.error_bodies import find_error, looks_failed, status_error
from llmnet.providers.reading import (
    CHAT_USAGE,
    check_size,
    index_in,
    items_of,
    models_in,
    payload_of,
    status_in,
    text_of,
    usage_of,
    vector_of,
)
from llmnet.providers.services import BASE64, NO_STREAM_OPTIONS, Service
from llmnet.providers.writing import below


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

    def is_at(self, *domains: str) -> bool:
        """Whether the host is one of some domains, or below one."""
        host = urlsplit(self.base_url).hostname or ""
        return any(host == domain or host.endswith(f".{domain}") for domain in domains)

    @property
    def usage_in_streams(self) -> bool:
        """Whether a stream may be asked for its usage: what the address is known to refuse is asked of nobody there."""
        if self.api == "deployments" and self._version < "2024-09":  # Azure's versions before know no `stream_options`
            return False
        return self.service.usage_in_streams and not self.is_at(*NO_STREAM_OPTIONS)

    @property
    def _version(self) -> str:
        """Azure's version, which may stand in the address, or the end of all times."""
        in_query = dict(parse_qsl(urlsplit(self.base_url).query)).get("api-version")
        return self.api_version or in_query or "9999"

    @property
    def base64_vectors(self) -> bool:
        """Whether vectors may be asked for in base64: of hosts that are known to have it alone."""
        return self.service.base64_vectors or self.is_at(*BASE64)


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
        """Read one event: `[DONE]` ends the stream, an error by name or words is raised, a heartbeat says nothing."""
        data = event.data.strip()
        for line in event.comments:
            if line.startswith("{"):
                self._note_silent(readable(line), draft)
        if not data:
            return None
        if data.removeprefix('"').startswith("[DONE]"):  # some servers write it as JSON
            self.done(draft)
            return None
        payload = payload_of(data)
        if event.event == "error" or self.find_error(payload):
            raise self.event_error(payload, event)
        chunk = self.read_event(payload, event, draft) if isinstance(payload, dict) else None
        if chunk is None or not draft.spoken:
            self._note_silent(payload, draft)
        return chunk

    def _note_silent(self, payload: Any, draft: Draft) -> None:
        """Remember an event that gave nothing, and whether it looks like a failure: an error may have to show it."""
        draft.words = kept(payload)
        if draft.failure is None and looks_failed(payload) and not self.knows(payload):
            draft.failure = draft.words

    def knows(self, payload: Any) -> bool:
        """Whether an event is one of the form's own, so that no word in it is a failure of the call."""
        return False

    def close(self, draft: Draft) -> StreamChunk | None:
        """A stream has ended: what was still held of it.

        Raises:
            LLMNetError: its terminal event came, and there was no reply before it, or a failure and no finish or word.
        """
        chunk = self.end(draft)
        if draft.whole:
            if draft.failure is not None and (draft.native_finish_reason is None or not draft.said):
                raise self.parse_error(200, {}, draft.failure)
            self.check(draft.words if draft.failure is None else draft.failure, draft, "choice or content")
        return chunk

    def end(self, draft: Draft) -> StreamChunk | None:
        """What a form holds back until the end of a stream."""
        return None

    def check(self, payload: Any, draft: Draft, what: str) -> None:
        """Refuse a reply in which there was no place for what a model says: it is no empty one.

        Raises:
            LLMNetError: it was none; the message shows what it was.
        """
        if draft.spoken:
            return
        if looks_failed(payload):
            raise self.parse_error(200, {}, payload)
        raise InvalidResponseError(f"the reply has no {what}: {cut(shown(payload), 200) or 'it said nothing'}")

    def done(self, draft: Draft) -> None:
        """`[DONE]` was sent; forms that end with an event of their own take no notice."""

    def event_error(self, payload: Any, event: ServerSentEvent) -> APIStatusError:
        """The error of an error event; DashScope says its status in a comment, behind OpenAI's form too."""
        return self.parse_error(200, {}, payload, said=status_in(event.comments))

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
        listed = {"data": payload} if isinstance(payload, list) else payload  # as Together gives it
        return models_in(listed, "data"), None

    def embed_request(self, inputs: list[Any], model: str, params: Mapping[str, Any]) -> Request:
        """The request for the vectors of some inputs."""
        encoding = {"encoding_format": "base64"} if self.target.base64_vectors else {}
        given = {name: value for name, value in params.items() if value is not None}
        return self.post(self.url("/embeddings"), {"model": model, "input": inputs, **encoding, **given})

    def parse_embeddings(self, payload: Any, size: int) -> EmbeddingResponse:
        """The vectors of one request for that many inputs, in their order."""
        rows = sorted(items_of(payload, "data"), key=index_in)
        check_size(rows, size)
        return EmbeddingResponse(
            vectors=[vector_of(row.get("embedding")) for row in rows],
            model=text_of(payload.get("model")),
            usage=usage_of(payload.get("usage"), CHAT_USAGE) or Usage(),
            raw=payload,
        )
