"""Calls that are no chats: of any endpoint, of model lists and embeddings, and that of `warm`, which only connects."""

import dataclasses
import functools
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

import msgspec

from llmnet.client.base import BaseClient
from llmnet.core import endpoint
from llmnet.core.admission.admission import Admission
from llmnet.core.bounds import Bounds
from llmnet.core.call import Call
from llmnet.core.chat import total_usage
from llmnet.core.credentials import in_query
from llmnet.core.errors import InvalidResponseError, LLMNetError
from llmnet.core.exchange import Route
from llmnet.core.extras import Extras, take_extras, with_query
from llmnet.core.headers import checked_headers
from llmnet.core.http import Attempt, Meta, Request, billed
from llmnet.core.json import encodable
from llmnet.core.judge import Judge
from llmnet.core.other_replies import EmbeddingResponse, ModelInfo
from llmnet.core.params import check_names
from llmnet.core.record import Record
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.reply_text import check_count
from llmnet.core.request import checked_inputs, checked_timeout
from llmnet.core.tracebacks import short_errors, shorten


@short_errors
def endpoint_call(client: BaseClient, method: Any, path: Any, arguments: Mapping[str, Any], *, stream: bool) -> Call:
    """The call that a client's `request` makes of its arguments."""
    endpoint.check_stream(stream)
    method, (place, query) = endpoint.checked_method(method), endpoint.checked_path(path)
    values = endpoint.checked_query(arguments["params"])
    headers = checked_headers(arguments["extra_headers"], "extra_headers")
    bounds = client._bounds(checked_timeout(arguments["timeout"]), stream=stream)
    json, data, files = arguments["json"], arguments["data"], arguments["files"]
    endpoint.check_one_body(json, data, files)
    if files is None:
        body, content_type = endpoint.body_of(method, json, data)
    else:
        from llmnet.transports.multipart import encoded  # noqa: PLC0415 - urllib3, of no other use to the async front

        body, content_type = encoded(endpoint.checked_query(data, "data"), files)
    form = client._form()
    url = with_query(form.url(place), query, values)
    return client._make_call(
        form,
        form.request_of(method, url, body, content_type, stream=stream),
        bounds,
        headers=headers,
        gate=(endpoint.model_in(json, data), method, place),
        stream=stream,
        reader=endpoint.BytesReader,
        secrets=in_query(url),
    )


def warm_call(client: BaseClient) -> Call:
    """A call to where a client's calls go, whose request is never sent: it ends where there is a connection.

    So it has no slot, no key, no events, and one attempt.
    """
    form, common = client._form(), client._common
    bounds = Bounds(client._bounds(None, stream=False), client._clock)
    policy = dataclasses.replace(client._policy, max_retries=0)
    route = Route(form=form, host=form.target.host, secrets=client._secrets)
    call = Call(
        route,
        Request(method="GET", url=form.target.base_url),
        bounds=bounds,
        judge=Judge(policy, bounds, route.gate, None, common.rng, renewable=False),
        admission=Admission(None, route.gate, bounds, policy.max_retry_after, common.rng),
        record=Record(bounds),
        wall=client._wall,
    )
    return common.watch(call)


# -- several requests, one after another, under one `total` -----------------------------------------------------------

Step = tuple[Request, Callable[[Any], Any]]
T = TypeVar("T")

# More than any vendor has: a list that goes on and on would otherwise grow until `total` ends it.
MAX_PAGES = 1000
MAX_MODELS = 20_000
_LONGEST_CURSOR = 4096


class MultiRequest(Generic[T]):
    """Requests that are made one after another; the first error ends them.

    They are run inside `with job:`, so that an error tells of all of them.
    """

    model = ""
    reply: Any = None  # what came of the call that was run last
    result: T  # what came of them all
    _extras = Extras()

    @short_errors
    def __init__(self, client: BaseClient, timeout: Any = None, headers: Any = None) -> None:
        checked_timeout(timeout)
        self._headers = checked_headers(headers, "extra_headers")
        self._client, self.form = client, client._form()
        self._timeout = client._bounds(timeout, stream=False)
        self._bounds = Bounds(self._timeout, client._clock)
        self._running: Call | None = None  # the one that is run
        self._meta, self._queued = Meta(), 0.0
        self._attempts: list[Attempt] = []

    def steps(self) -> Generator[Step, Any, T]:
        """The requests, each with what reads its reply, which is sent back; returns what came of them all."""
        raise NotImplementedError

    def calls(self) -> Iterator[Call]:
        """The calls, each made when the one before has been run; `total` counts from the first one on."""
        steps = self.steps()
        while True:
            try:
                request, read = steps.send(self.reply)
            except StopIteration as end:
                self.result = end.value
                return
            self._running = self._client._make_call(
                self.form,
                request,
                self._timeout,
                since=self._bounds.started,
                headers=self._headers,
                gate=(self.model, type(self).__name__),
                reader=functools.partial(ReplyReader, read=read),
                secrets=self._extras.secrets,
            )
            yield self._running
            self._add(self._running)
            self._running = None

    def _add(self, call: Call) -> None:
        self._queued = self._queued if self._attempts else call.meta.queued
        self._attempts += call.meta.attempts
        self._meta = call.meta

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Where a call has failed, its error tells of all of them."""
        if error is not None:
            shorten(error)
        if isinstance(error, LLMNetError) and self._running is not None:
            self._add(self._running)
            error.meta = self.meta()
            error.maybe_billed = billed(self._attempts)

    def meta(self) -> Meta:
        """How it all went."""
        elapsed = self._bounds.elapsed()
        return msgspec.structs.replace(self._meta, attempts=self._attempts, queued=self._queued, elapsed=elapsed)


class ModelList(MultiRequest[list[ModelInfo]]):
    """All pages of a model list."""

    def steps(self) -> Generator[Step, Any, list[ModelInfo]]:
        """A page at a time, until one is empty, is the last, or repeats a cursor."""
        models: list[ModelInfo] = []
        cursor: str | None = None
        seen: set[str | None] = set()
        for _ in range(MAX_PAGES):
            seen.add(cursor)
            page, cursor = yield self.form.models_request(cursor), functools.partial(self._page, len(models))
            models += page
            if not page or cursor is None or cursor in seen:
                return models
        raise InvalidResponseError(
            f"the list has no end: after {MAX_PAGES} pages there is another one",
            provider=self.form.provider,
            host=self.form.target.host,
            meta=self.meta(),
        )

    def _page(self, before: int, payload: Any) -> tuple[list[ModelInfo], str | None]:
        models, cursor = self.form.parse_models(payload)
        check_count(before + len(models), MAX_MODELS, "models")
        if cursor is not None and (len(cursor) > _LONGEST_CURSOR or not encodable(cursor)):
            raise InvalidResponseError("the list of models names a next page that no address can carry")
        return models, cursor


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

    def steps(self) -> Generator[Step, Any, EmbeddingResponse]:
        """A slice of the inputs at a time; the sum is of the tokens and the attempts of all requests."""
        replies: list[EmbeddingResponse] = []
        limit = self.form.target.service.embed_limit(self.model)
        for start in range(0, len(self._inputs), limit):
            part = self._inputs[start : start + limit]
            request = self.form.embed_request(part, self.model, self._params)
            read = functools.partial(self.form.parse_embeddings, size=len(part))
            replies.append((yield self._extras.over(request), read))
        first = replies[0]
        return EmbeddingResponse(
            vectors=[vector for reply in replies for vector in reply.vectors],
            model=first.model or self.model,
            usage=total_usage([reply.usage for reply in replies]),
            provider=self.form.provider,
            meta=self.meta(),
            raw=first.raw if len(replies) == 1 else None,
        )
