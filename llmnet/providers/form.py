"""`Form`, of which each wire form is a subclass: addresses, credentials, errors, model lists and embeddings."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llmnet.core.chat import ChatResponse, StreamChunk
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import APIStatusError, InvalidResponseError, LLMNetError
from llmnet.core.http import Request, merged
from llmnet.core.json import encode, readable
from llmnet.core.other_replies import EmbeddingResponse, ModelInfo
from llmnet.core.preview import cut, kept, shown
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers import reading
from llmnet.providers.error_bodies import find_error, looks_failed
from llmnet.providers.error_codes import status_error
from llmnet.providers.hints import hint  # not on use: a process without a descriptor left could not load it
from llmnet.providers.target import Target
from llmnet.providers.writing import set_params, url_below

if TYPE_CHECKING:
    from llmnet.core.output import Output

# `Accept` and `Accept-Encoding`: a compressed stream is held back until its compressor has a block full.
_JSON = {"accept": "application/json", "accept-encoding": "gzip, deflate"}
_EVENTS = {"accept": "text/event-stream", "accept-encoding": "identity"}
_BODY = {"content-type": "application/json"}


class Form:
    """A wire form for one target, and what all its requests have in common; the defaults are those of OpenAI.

    Attributes:
        own_headers: headers that the form always sends, unless the caller has set them.
        ends_with_done: whether `[DONE]` ends a stream, which others end with an event of their own.
    """

    own_headers: ClassVar[Mapping[str, str]] = {}
    ends_with_done: ClassVar[bool] = False

    def __init__(self, target: Target) -> None:
        self.target = target
        self.provider = target.service.name

    # -- what each subclass implements --------------------------------------------------------------------------------

    def prepare(self, chat: ChatRequest) -> Request:
        """The request that asks for a chat, without a credential."""
        raise NotImplementedError

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """Read a complete reply."""
        raise NotImplementedError

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Read one event of a stream."""
        raise NotImplementedError

    # -- requests -----------------------------------------------------------------------------------------------------

    def wanting(self, chat: ChatRequest, output: "Output") -> ChatRequest:
        """The chat that asks for a value of a type, in the way that the vendor has."""
        from llmnet.providers import structured_output  # noqa: PLC0415 - loaded on use

        way = structured_output.by_schema if self.target.takes_schemas else structured_output.by_json_mode
        return way(chat, output)

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """An address below the base URL, with the base's query and Azure's version."""
        if query:
            return url_below(self.target.base_url, path, {**self._version_query, **query})
        before, behind = self._around_path
        return before + path + behind

    @property
    def _version_query(self) -> dict[str, str]:
        return {"api-version": self.target.api_version} if self.target.api_version else {}

    @functools.cached_property
    def _around_path(self) -> tuple[str, str]:
        before, mark, query = url_below(self.target.base_url, "", self._version_query).partition("?")
        return before, mark + query

    def post(self, url: str, body: Mapping[str, Any], *, stream: bool = False) -> Request:
        """A POST of JSON."""
        return Request(method="POST", url=url, headers=self._post_headers[stream], body=encode(body))

    def get(self, url: str) -> Request:
        """A GET of JSON."""
        return Request(method="GET", url=url, headers=self._headers(_JSON))

    def request_of(
        self, method: str, url: str, body: bytes | None, content_type: str | None, *, stream: bool
    ) -> Request:
        """A request of any kind, without a credential; a reply that is streamed is not to wait for a compressor."""
        kind = {"content-type": content_type} if content_type else {}
        coding = _EVENTS["accept-encoding"] if stream else _JSON["accept-encoding"]
        headers = self._headers({**kind, "accept": "*/*", "accept-encoding": coding})
        return Request(method=method, url=url, headers=headers, body=body)

    @functools.cached_property
    def _post_headers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Those that ask for JSON, and those that ask for a stream."""
        return self._headers(_BODY | _JSON), self._headers(_BODY | _EVENTS)

    def _headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        ours = {"user-agent": self.target.user_agent, **headers, **self.own_headers}
        return merged(ours, self.target.headers)

    def authorise(self, request: Request, key: str | None) -> Request:
        """The request with its credential, unless the caller has set that header."""
        name = self._key_header
        if key is None or name is None or name in request.headers:
            return request
        headers = {**request.headers, name: f"Bearer {key}" if self.target.scheme == "bearer" else key}
        return Request(method=request.method, url=request.url, headers=headers, body=request.body)

    @functools.cached_property
    def _key_header(self) -> str | None:
        """The header of the credential; `None` where the caller has set it, or had it removed."""
        name = "authorization" if self.target.scheme == "bearer" else self.target.scheme
        return None if name in map(str.lower, self.target.headers) else name

    # -- replies ------------------------------------------------------------------------------------------------------

    def read_body(self, body: bytes | bytearray) -> ChatResponse | None:
        """Read a complete reply that is a text alone; `None` for any other."""
        return None

    def parse_event(self, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Read one event: `[DONE]` ends the stream, an error is raised, a heartbeat gives no chunk."""
        for line in event.comments:
            if line.startswith("{"):
                self._note_unread(readable(line), len(line), draft)
        if event.event != "error" and (chunk := self.read_text(event.data, draft)) is not None:
            return chunk or None
        return self._parse_event(event, draft)

    def read_text(self, data: str, draft: Draft) -> StreamChunk | Literal[False] | None:
        """Read an event of a stream that is a piece of text alone, or an empty one, which gives `False` for a chunk.

        Of any other it is `None`, and nothing has changed.
        """
        return None

    def _parse_event(self, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        data = event.data.strip()
        if not data:
            return None
        if data.removeprefix('"').startswith("[DONE]"):  # some servers write it as JSON
            draft.done = draft.done or self.ends_with_done
            return None
        payload = reading.payload_of(data)
        if event.event == "error" or self.find_error(payload):
            # DashScope sends the status in a comment, in OpenAI's form too.
            raise self.parse_error(200, {}, payload, stream_status=reading.status_in(event.comments))
        chunk = self.read_event(payload, event, draft) if isinstance(payload, dict) else None
        if chunk is None or not draft.spoken:
            self._note_unread(payload, len(data), draft)
        return chunk

    def _note_unread(self, payload: Any, size: int, draft: Draft) -> None:
        """Remember an event without output, and the first that looks like a failure, for the message of an error."""
        draft.words = kept(payload, size)
        if draft.failure is None and looks_failed(payload) and not self.is_own_event(payload):
            draft.failure = draft.words

    def is_own_event(self, payload: Any) -> bool:
        """Whether the vendor documents this type of event, so that it is no failure of the call."""
        return False

    def close(self, draft: Draft) -> StreamChunk | None:
        """The chunk that was held until the end of a stream.

        Raises:
            LLMNetError: the terminal event came without a reply, or after a failure without a finish or output.
        """
        chunk = self.end(draft)
        if draft.whole:
            if draft.failure is not None and (draft.native_finish_reason is None or not draft.said):
                raise self.parse_error(200, {}, draft.failure)
            self.check(draft.words if draft.failure is None else draft.failure, draft, "choice or content")
        return chunk

    def end(self, draft: Draft) -> StreamChunk | None:
        """The chunk that a form holds until the end of a stream."""
        return None

    def check(self, payload: Any, draft: Draft, what: str) -> None:
        """Refuse a reply without a field for the model's output; where that field is empty, it is an empty reply.

        Raises:
            LLMNetError: there is no such field; the message quotes the payload.
        """
        if draft.spoken:
            return
        if looks_failed(payload):
            raise self.parse_error(200, {}, payload)
        raise InvalidResponseError(f"the reply has no {what}: {cut(shown(payload), 200) or 'it is empty'}")

    def parse_error(
        self, status: int, headers: Mapping[str, str], payload: Any, stream_status: int | None = None
    ) -> APIStatusError:
        """The typed error of an error body."""
        return status_error(self.target.service, status, headers, payload, stream_status)

    def find_error(self, payload: Any) -> bool:
        """Whether the JSON of a success is an error."""
        return find_error(payload)

    def hint(self, error: LLMNetError) -> str:
        """What an error suggests about the address of the calls."""
        return hint(error, self.target)

    def answer(self, draft: Draft) -> str:
        """The text in which a value of the caller's type stands, `""` where that is all of the content."""
        return ""

    def message(self, draft: Draft) -> dict[str, Any]:
        """The assistant message for the next turn."""
        return chat_message(draft)

    # -- models and embeddings, in OpenAI's form unless a subclass overrides them ----------------------------------

    def models_request(self, cursor: str | None) -> Request:
        """The request for a page of the model list."""
        return self.get(self.url("/models"))

    def parse_models(self, payload: Any) -> tuple[list[ModelInfo], str | None]:
        """The models of a page, and the cursor of the next one."""
        listed = {"data": payload} if isinstance(payload, list) else payload  # Together sends a bare list
        return reading.models_in(listed, "data"), None

    def embed_request(self, inputs: list[Any], model: str, params: Mapping[str, Any]) -> Request:
        """The request for the vectors of some inputs."""
        encoding = {"encoding_format": "base64"} if self.target.base64_vectors else {}
        body = {"model": model, "input": inputs, **encoding, **set_params(params)}
        return self.post(self.url("/embeddings"), body)

    def parse_embeddings(self, payload: Any, size: int) -> EmbeddingResponse:
        """The vectors of one request for that many inputs, in their order."""
        rows = reading.items_of(payload, "data")
        rows.sort(key=lambda row: row["index"] if isinstance(row.get("index"), int) else 0)
        usage = reading.usage_of(payload.get("usage"), reading.CHAT_USAGE)
        return reading.embeddings_of(payload, rows, size, usage, model=reading.text_of(payload.get("model")))
