"""Methods that take several requests, one after another, under one `total`: model lists and embeddings."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from llmnet.calls import Caller
from llmnet.core.bounds import Bounds, resolve_timeout
from llmnet.core.call import Call
from llmnet.core.chat import EmbeddingResponse, ModelInfo, total_usage
from llmnet.core.errors import InvalidResponseError
from llmnet.core.extras import Extras, take_extras
from llmnet.core.headers import checked_headers
from llmnet.core.http import Meta, Request
from llmnet.core.json import encodable
from llmnet.core.params import check_names
from llmnet.core.request import checked_inputs, checked_timeout

_LONGEST_CURSOR = 4096

Step = tuple[Request, Callable[[Any], Any]]


class Job:
    """Requests that are made one after another; the first error ends them."""

    model = ""
    _extras = Extras()

    def __init__(self, caller: Caller, timeout: Any = None, headers: Any = None) -> None:
        checked_timeout(timeout)
        self._headers = checked_headers(headers, "extra_headers")
        self.caller, self.form = caller, caller.form()
        self._timeout = resolve_timeout(timeout, caller.config.timeout, stream=False, flex=False)
        self._bounds = Bounds(self._timeout, caller.clock)
        self._last: Call | None = None

    def steps(self) -> Iterator[Step]:
        """The requests, each made when the one before has been read, with what reads its reply."""
        raise NotImplementedError

    def calls(self) -> Iterator[Call]:
        """The calls, each made when the one before has been run; each takes over the attempts so far."""
        for request, read in self.steps():
            timeout = dataclasses.replace(self._timeout, total=max(self._bounds.total_left(), 1e-9))
            gate = (self.model, type(self).__name__)
            call = self.caller.make_call(
                self.form, request, timeout, headers=self._headers, gate=gate, read=read, secrets=self._extras.secrets
            )
            call.meta.attempts = list(self._last.meta.attempts) if self._last is not None else []
            self._last = call
            yield call

    def meta(self) -> Meta:
        """How it all went."""
        meta = self._last.meta if self._last is not None else Meta()
        return msgspec.structs.replace(meta, elapsed=self._bounds.elapsed())


class ModelsJob(Job):
    """All pages of a model list."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self._models: list[ModelInfo] = []
        self._page: tuple[list[ModelInfo], str | None] = ([], None)

    def steps(self) -> Iterator[Step]:
        """A page at a time, until one is empty, is the last, or repeats its cursor."""
        cursor: str | None = None
        while True:
            yield self.form.models_request(cursor), self._take
            page, following = self._page
            self._models += page
            if not page or following is None or following == cursor:
                return
            cursor = following

    def _take(self, payload: Any) -> None:
        models, cursor = self.form.parse_models(payload)
        if cursor is not None and (len(cursor) > _LONGEST_CURSOR or not encodable(cursor)):
            raise InvalidResponseError("the list of models names a next page that no address can carry")
        self._page = models, cursor

    def result(self) -> list[ModelInfo]:
        """All models."""
        return self._models


class EmbedJob(Job):
    """The vectors of any number of inputs, in as many requests as the vendor's limit asks for."""

    def __init__(
        self, caller: Caller, inputs: Any, model: str | None, timeout: Any, headers: Any, params: Mapping[str, Any]
    ) -> None:
        check_names(params)
        super().__init__(caller, timeout, headers)
        self._inputs = checked_inputs(inputs)
        self.model = caller.model_of(model)
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
