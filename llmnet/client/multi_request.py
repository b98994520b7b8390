"""Methods that take several requests, one after another, under one `total`: model lists and embeddings."""

import functools
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec

from llmnet.client.base import BaseClient
from llmnet.core.bounds import Bounds
from llmnet.core.call import Call
from llmnet.core.chat import total_usage
from llmnet.core.errors import InvalidResponseError, LLMNetError
from llmnet.core.extras import Extras, take_extras
from llmnet.core.growing_text import check_count
from llmnet.core.headers import checked_headers
from llmnet.core.http import Attempt, Meta, Request, billed
from llmnet.core.json import encodable
from llmnet.core.other_replies import EmbeddingResponse, ModelInfo
from llmnet.core.params import check_names
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import checked_inputs, checked_timeout
from llmnet.core.tracebacks import short_errors, shorten

_LONGEST_CURSOR = 4096

Step = tuple[Request, Callable[[Any], Any]]
T = TypeVar("T")

# More than any vendor has: a list that goes on and on would otherwise grow until `total` ends it.
MAX_PAGES = 1000
MAX_MODELS = 20_000


class MultiRequest(Generic[T]):
    """Requests that are made one after another; the first error ends them.

    They are run inside `with job:`, so that an error tells of all of them.
    """

    model = ""
    _extras = Extras()

    def __init__(self, client: BaseClient, timeout: Any = None, headers: Any = None) -> None:
        checked_timeout(timeout)
        self._headers = checked_headers(headers, "extra_headers")
        self._client, self.form = client, client._form()
        self._timeout = client._bounds(timeout, stream=False)
        self._bounds = Bounds(self._timeout, client._clock)
        self._running: Call | None = None  # the one that is run
        self._meta, self._queued = Meta(), 0.0
        self._attempts: list[Attempt] = []

    def steps(self) -> Iterator[Step]:
        """The requests, each made when the one before has been read, with what reads its reply."""
        raise NotImplementedError

    def result(self) -> T:
        """What came of them all."""
        raise NotImplementedError

    def calls(self) -> Iterator[Call]:
        """The calls, each made when the one before has been run; `total` counts from the first one on."""
        gate, since = (self.model, type(self).__name__), self._bounds.started
        for request, read in self.steps():
            self._running = self._client._make_call(
                self.form,
                request,
                self._timeout,
                since=since,
                headers=self._headers,
                gate=gate,
                reader=functools.partial(ReplyReader, read=read),
                secrets=self._extras.secrets,
            )
            yield self._running
            self._add(self._running)
            self._running = None

    def _add(self, call: Call) -> None:
        """What a call did is part of the whole."""
        self._queued = self._queued if self._attempts else call.meta.queued
        self._attempts += call.meta.attempts
        self._meta = call.meta

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Where a call has failed, its error tells of all of them."""
        if error is not None:
            shorten(error)
        if isinstance(error, LLMNetError) and self._running is not None:
            self._add(self._running)
            error.meta = self.meta()
            error.maybe_billed = billed(self._attempts)

    def meta(self) -> Meta:
        """How it all went."""
        whole = {"attempts": self._attempts, "queued": self._queued, "elapsed": self._bounds.elapsed()}
        return msgspec.structs.replace(self._meta, **whole)


class ModelList(MultiRequest[list[ModelInfo]]):
    """All pages of a model list."""

    @short_errors
    def __init__(self, client: BaseClient) -> None:
        super().__init__(client)
        self._models: list[ModelInfo] = []
        self._page: tuple[list[ModelInfo], str | None] = ([], None)

    def steps(self) -> Iterator[Step]:
        """A page at a time, until one is empty, is the last, or repeats a cursor.

        Raises:
            InvalidResponseError: there is no end of them.
        """
        cursor: str | None = None
        seen: set[str | None] = set()
        for _ in range(MAX_PAGES):
            seen.add(cursor)
            yield self.form.models_request(cursor), self._take
            page, cursor = self._page
            self._models += page
            if not page or cursor is None or cursor in seen:
                return
        facts = {"provider": self.form.provider, "host": self.form.target.host, "meta": self.meta()}
        raise InvalidResponseError(f"the list has no end: after {MAX_PAGES} pages there is another one", **facts)

    def _take(self, payload: Any) -> None:
        models, cursor = self.form.parse_models(payload)
        check_count(len(self._models) + len(models), MAX_MODELS, "models")
        if cursor is not None and (len(cursor) > _LONGEST_CURSOR or not encodable(cursor)):
            raise InvalidResponseError("the list of models names a next page that no address can carry")
        self._page = models, cursor

    def result(self) -> list[ModelInfo]:
        """All models."""
        return self._models


class Embeddings(MultiRequest[EmbeddingResponse]):
    """The vectors of any number of inputs, in as many requests as the vendor's limit asks for."""

    @short_errors
    def __init__(
        self, client: BaseClient, inputs: Any, model: str | None, timeout: Any, headers: Any, params: Mapping[str, Any]
    ) -> None:
        check_names(params)
        super().__init__(client, timeout, headers)
        self._inputs = checked_inputs(inputs)
        self.model = client._model_of(model)
        self._params = dict(params)
        self._extras = take_extras(self._params)
        self._replies: list[EmbeddingResponse] = []

    def steps(self) -> Iterator[Step]:
        """A slice of the inputs at a time."""
        limit = self.form.target.service.embed_limit(self.model)
        for start in range(0, len(self._inputs), limit):
            part = self._inputs[start : start + limit]
            request = self.form.embed_request(part, self.model, self._params)
            yield self._extras.over(request), self._reader(len(part))

    def _reader(self, size: int) -> Callable[[Any], EmbeddingResponse]:
        def read(payload: Any) -> EmbeddingResponse:
            self._replies.append(self.form.parse_embeddings(payload, size))
            return self._replies[-1]

        return read

    def result(self) -> EmbeddingResponse:
        """All vectors, the sum of the tokens, and the attempts of all requests."""
        first = self._replies[0]
        return EmbeddingResponse(
            vectors=[vector for reply in self._replies for vector in reply.vectors],
            model=first.model or self.model,
            usage=total_usage([reply.usage for reply in self._replies]),
            provider=self.form.provider,
            meta=self.meta(),
            raw=first.raw if len(self._replies) == 1 else None,
        )
