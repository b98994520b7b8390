"""The async client; `client.py` is the same text without `await`, and a test holds the two to that."""

from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from llmnet.calls import Caller, checked_callbacks
from llmnet.config import ClientConfig, ClientFields
from llmnet.core.bounds import Timeout
from llmnet.core.call import Call
from llmnet.core.chat import ChatResponse, EmbeddingResponse, ModelInfo, StreamCallbacks, StreamChunk
from llmnet.core.errors import LLMNetError, StreamCancelledError, StreamError
from llmnet.core.http import Meta
from llmnet.core.outcome import Fault
from llmnet.jobs import EmbedJob, ModelsJob
from llmnet.transports import awaits
from llmnet.transports.async_reply import OpenReply
from llmnet.transports.async_transport import Transport

Messages = str | Sequence[Mapping[str, Any]]


class AsyncClient(Caller):
    """Talks to one provider; safe to share between threads.

    Args:
        model_or_config: a model string like `"openai:gpt-5.4-mini"`, or a `ClientConfig`.
        **fields: the fields of `ClientConfig`; they override it.

    Raises:
        ConfigurationError: a field is wrong, or a key or address is missing.
    """

    check_plain = staticmethod(awaits.check_plain)

    def __init__(self, model_or_config: str | ClientConfig | None = None, /, **fields: Unpack[ClientFields]) -> None:
        super().__init__(model_or_config, **fields)
        config = self.config
        self._transport = Transport(
            self._common.queue,
            proxy=config.proxy,
            verify=config.verify,
            pool_size=config.max_concurrent,
            http2=config.http2,
        )

    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        callbacks: StreamCallbacks | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        **params: Any,
    ) -> ChatResponse:
        """Ask, and wait for the whole reply.

        Args:
            messages: a text, or messages in the form of OpenAI's chat API.
            model: the model, if not the client's.
            temperature: sampling temperature; sent only if given.
            max_tokens: limit of the reply in tokens.
            tools: tools in OpenAI's form.
            tool_choice: `"auto"`, `"required"`, `"none"` or a dict that names a tool.
            callbacks: functions to call as the reply arrives; it is then streamed.
            timeout: seconds or a `Timeout` for this call.
            extra_headers: headers for this call; they replace ours, `None` removes one.
            **params: further parameters in OpenAI's words, translated for the provider, or in its own.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
            LLMNetError: the call failed; the class says how, `.partial` holds what had arrived.
        """
        named = {"model": model, "tools": tools, "tool_choice": tool_choice, "timeout": timeout}
        named |= {"temperature": temperature, "max_tokens": max_tokens, "extra_headers": extra_headers}
        params |= {name: value for name, value in named.items() if value is not None}
        if callbacks is None:
            reply: ChatResponse = await self._run(self._chat_call(messages, params, stream=False))
            return reply
        checked_callbacks(callbacks, self.check_plain)
        call = self._chat_call(messages, params, stream=True, whole=True)
        return await self._told(AsyncChatStream(self._transport, call), callbacks)

    def stream_chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        **params: Any,
    ) -> "AsyncChatStream":
        """Ask, and hear the reply as it is made; arguments as in `chat`. Nothing is sent before the first iteration.

        Raises:
            ConfigurationError: an argument is wrong.
        """
        named = {"model": model, "tools": tools, "tool_choice": tool_choice, "timeout": timeout}
        named |= {"temperature": temperature, "max_tokens": max_tokens, "extra_headers": extra_headers}
        params |= {name: value for name, value in named.items() if value is not None}
        return AsyncChatStream(self._transport, self._chat_call(messages, params, stream=True))

    async def embed(
        self,
        inputs: str | Sequence[str] | Sequence[Sequence[int]],
        *,
        model: str | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        **params: Any,
    ) -> EmbeddingResponse:
        """Turn texts into vectors; more inputs than the vendor takes at once go in several requests.

        Raises:
            ConfigurationError: an argument is wrong, or the provider has no embeddings.
            LLMNetError: a request failed.
        """
        job = EmbedJob(self, inputs, model, timeout, extra_headers, params)
        for call in job.calls():
            await self._run(call)
        return job.result()

    async def list_models(self) -> list[ModelInfo]:
        """List the models of the provider, all pages.

        Raises:
            ConfigurationError: the provider has no such list.
            LLMNetError: a request failed.
        """
        job = ModelsJob(self)
        for call in job.calls():
            await self._run(call)
        return job.result()

    def with_options(self, **fields: Unpack[ClientFields]) -> Self:
        """Make a cheap child that shares connections, queue, budget and counters; closing it closes nothing.

        Raises:
            ConfigurationError: a field is wrong, or is one that only the parent can have.
        """
        child = self._child(type(self).__new__(type(self)), fields)
        child._transport = self._transport
        return child

    async def aclose(self) -> None:
        """End all calls in flight with `APIConnectionError`, and close all connections."""
        if not self._is_child and self._common.close():
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, call: Call) -> Any:
        """The driver: send, read, and on a fault ask the call what to do."""
        while True:
            try:
                async with await self._transport.send(call) as raw:
                    exchange = call.under_way
                    async for data in raw:
                        exchange.feed(data)
                        if exchange.done:
                            break
                    exchange.end()
                    return call.succeed()
            except Fault as fault:
                call.judge(fault.outcome)

    async def _told(self, stream: "AsyncChatStream", callbacks: StreamCallbacks) -> ChatResponse:
        try:
            while (chunk := await self._heard(stream, callbacks)) is not None:
                await awaits.tell(callbacks.on_chunk, chunk)
            await awaits.tell(callbacks.on_complete, stream.response)
            return stream.response
        finally:
            await stream.aclose()

    async def _heard(self, stream: "AsyncChatStream", callbacks: StreamCallbacks) -> StreamChunk | None:
        """The next chunk; only an error of the call itself is told, not one that a callback has raised."""
        try:
            return await anext(stream, None)
        except LLMNetError as error:
            await awaits.tell(callbacks.on_error, error)
            raise


class AsyncChatStream:
    """A reply as it is made: an iterator of `StreamChunk`, and a context manager that closes it."""

    def __init__(self, transport: Transport, call: Call) -> None:
        self._transport, self._call = transport, call
        self._raw: OpenReply | None = None
        self._ready: deque[StreamChunk] = deque()
        self._response: ChatResponse | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        while self._response is None and (not self._ready or self._call.stopped is not None):
            await self._advance()
        if not self._ready:
            raise StopAsyncIteration
        return self._call.shown(self._ready.popleft())

    async def _advance(self) -> None:
        """Take one step; whatever ends the call closes the stream, so that nothing is ever sent again."""
        if self._closed:
            raise StreamError("the stream is closed")
        try:
            await self._step()
        except BaseException:
            await self.aclose()
            raise

    async def _step(self) -> None:
        """Send or, where that is done, read once; a fault of either is judged."""
        try:
            self._call.go_on()
            if self._raw is None:
                self._raw = await self._transport.send(self._call)
            else:
                await self._read(self._raw)
        except Fault as fault:
            await self._leave()
            self._call.judge(fault.outcome)

    async def _read(self, raw: OpenReply) -> None:
        exchange = self._call.under_way
        data = b"" if exchange.done else await anext(raw, b"")
        self._ready.extend(exchange.feed(data) if data else exchange.end())
        if not data:
            self._response = self._call.succeed()
            await self._leave()

    @property
    def response(self) -> ChatResponse:
        """The assembled reply, once the stream has ended.

        Raises:
            StreamError: it has not.
        """
        if self._response is None:
            raise StreamError("the stream has not ended; `.partial` has what has arrived")
        return self._response

    @property
    def partial(self) -> ChatResponse | None:
        """The reply as far as it has arrived, or `None` where nothing of it has."""
        return self._response or self._call.partial()

    @property
    def meta(self) -> Meta:
        """How the call went so far."""
        return self._call.meta

    def cancel(self) -> None:
        """End the stream from any thread: whoever queues, sleeps, connects or reads for it is woken."""
        if self._response is None:
            self._call.stop(StreamCancelledError("the stream was cancelled"))

    async def aclose(self) -> None:
        """Stop listening and give the connection back; idempotent."""
        self._closed = True
        self._ready.clear()
        await self._leave()

    async def _leave(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            await raw.aclose()

    async def __aenter__(self) -> Self:
        while self._raw is None and self._response is None:
            await self._advance()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
