"""Asking for a chat or any endpoint, async; a test holds it and `sync_calls.py` to one text."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from llmnet.client.aio_driver import Driver
from llmnet.client.aio_stream import AsyncAPIStream, AsyncChatStream
from llmnet.client.base import BaseClient
from llmnet.core.bounds import Timeout
from llmnet.core.call import Call
from llmnet.core.chat import ChatResponse, StreamCallbacks, StreamChunk, X
from llmnet.core.errors import LLMNetError
from llmnet.core.other_replies import APIResponse
from llmnet.core.params import NOT_GIVEN
from llmnet.core.tool_call import Tool
from llmnet.core.transport import AsyncTransport
from llmnet.transports.aio import wait

Messages = str | Sequence[Mapping[str, Any]]


class AsyncCallMethods(BaseClient):
    """What asks for a chat, whole or as a stream, or for anything else, and drives its call."""

    _check_plain = staticmethod(wait.check_plain)
    _transport: AsyncTransport
    _waits: wait.AsyncWait

    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        temperature: float | None = NOT_GIVEN,
        max_tokens: int | None = NOT_GIVEN,
        top_p: float | None = NOT_GIVEN,
        stop: str | Sequence[str] | None = NOT_GIVEN,
        seed: int | None = NOT_GIVEN,
        n: int | None = NOT_GIVEN,
        tools: Sequence[Tool] | None = NOT_GIVEN,
        tool_choice: str | Mapping[str, Any] | None = NOT_GIVEN,
        parallel_tool_calls: bool | None = NOT_GIVEN,
        response_format: Mapping[str, Any] | None = NOT_GIVEN,
        reasoning_effort: str | None = NOT_GIVEN,
        user: str | None = NOT_GIVEN,
        metadata: Mapping[str, Any] | None = NOT_GIVEN,
        output_type: type[X] | None = None,
        callbacks: StreamCallbacks | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        **params: Any,
    ) -> ChatResponse[X]:
        """Ask, and wait for the whole reply.

        Args:
            messages: a text, or messages in the form of OpenAI's chat API.
            model: the model, if not the client's.
            temperature: sampling temperature; sent only if given.
            max_tokens: limit of the reply in tokens.
            top_p: sample from the likeliest tokens, whose probabilities add up to this.
            stop: a text, or several, at which the reply ends, without it.
            seed: for replies that can be repeated, as far as the vendor can.
            n: how many replies; this one is the first, the others are in `raw`.
            tools: functions, whose signatures and docstrings describe them, and tools in OpenAI's form; a call of a
                function has it as `.function`, and nothing is called for you.
            tool_choice: `"auto"`, `"required"`, `"none"` or a dict that names a tool.
            parallel_tool_calls: whether one reply may call several tools.
            response_format: `{"type": "json_object"}`, or a JSON schema in OpenAI's form.
            reasoning_effort: how long to think, like `"none"`, `"low"`, `"high"`.
            user: your own id of whom the call is for.
            metadata: names and values that the vendor keeps with the call.
            output_type: what the reply is to be: a pydantic model, a dataclass, a TypedDict or a `msgspec.Struct`; the
                value is `.parsed` of the reply.
            callbacks: functions to call as the reply arrives; it is then streamed.
            timeout: seconds or a `Timeout` for this call.
            extra_headers: headers for this call; they replace ours, `None` removes one.
            **params: more, in OpenAI's words or the vendor's; the dicts `extra_body` and `extra_query` go over all.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
            OutputError: the reply is no value of `output_type`: `.reason` says why, `.partial` is the reply.
            LLMNetError: the call failed; the class says how, `.partial` holds what had arrived.
        """
        params = {
            "model": model, "timeout": timeout, "extra_headers": extra_headers, "temperature": temperature,
            "max_tokens": max_tokens, "top_p": top_p, "stop": stop, "seed": seed, "n": n, "tools": tools,
            "tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls, "response_format": response_format,
            "reasoning_effort": reasoning_effort, "user": user, "metadata": metadata, "output_type": output_type,
            **params,
        }  # fmt: skip
        if callbacks is None:
            reply: ChatResponse[X] = await self._run(self._chat_call(messages, params, stream=False))
            return reply
        self._check_callbacks(callbacks)
        call = self._chat_call(messages, params, stream=True, whole=True)
        return await self._notify(AsyncChatStream(self._driver(call)), callbacks)

    def stream_chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        temperature: float | None = NOT_GIVEN,
        max_tokens: int | None = NOT_GIVEN,
        top_p: float | None = NOT_GIVEN,
        stop: str | Sequence[str] | None = NOT_GIVEN,
        seed: int | None = NOT_GIVEN,
        n: int | None = NOT_GIVEN,
        tools: Sequence[Tool] | None = NOT_GIVEN,
        tool_choice: str | Mapping[str, Any] | None = NOT_GIVEN,
        parallel_tool_calls: bool | None = NOT_GIVEN,
        response_format: Mapping[str, Any] | None = NOT_GIVEN,
        reasoning_effort: str | None = NOT_GIVEN,
        user: str | None = NOT_GIVEN,
        metadata: Mapping[str, Any] | None = NOT_GIVEN,
        output_type: type[X] | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        **params: Any,
    ) -> AsyncChatStream[X]:
        """Ask, and hear the reply as it is made; arguments as in `chat`. Nothing is sent before the first iteration.

        Raises:
            ConfigurationError: an argument is wrong.
        """
        params = {
            "model": model, "timeout": timeout, "extra_headers": extra_headers, "temperature": temperature,
            "max_tokens": max_tokens, "top_p": top_p, "stop": stop, "seed": seed, "n": n, "tools": tools,
            "tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls, "response_format": response_format,
            "reasoning_effort": reasoning_effort, "user": user, "metadata": metadata, "output_type": output_type,
            **params,
        }  # fmt: skip
        return AsyncChatStream(self._driver(self._chat_call(messages, params, stream=True)))

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        stream: Literal[False] = False,
    ) -> APIResponse: ...
    @overload
    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        stream: Literal[True],
    ) -> AsyncAPIStream: ...
    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str | None] | None = None,
        stream: bool = False,
    ) -> Any:
        """Send a request to any endpoint, with the key, the retries and the bounds of a chat.

        Args:
            method: the HTTP method.
            path: where to, below `config.effective_base_url`; it may have a query.
            json: a value to send as JSON.
            data: bytes or a text to send as they are, or a dict to send as a form.
            files: a dict, or pairs, of a field's name and a path, an open file, bytes, or a tuple of a name, one of
                these and a content type; sent as `multipart/form-data`, with the form fields of `data`, and read at
                once.
            params: parameters of the query; they replace those of their name, `None` removes one.
            timeout: seconds or a `Timeout` for this request.
            extra_headers: headers for this request; they replace ours, `None` removes one.
            stream: give an `AsyncAPIStream` of the body, which sends nothing before it is entered or iterated.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
            LLMNetError: the request failed, as that of a chat does: any status but 2xx is an `APIStatusError`.
        """
        from llmnet.client.other_calls import endpoint_call  # noqa: PLC0415 - loaded on use

        body = {"json": json, "data": data, "files": files}
        rest = {"params": params, "timeout": timeout, "extra_headers": extra_headers}
        call = endpoint_call(self, method, path, body | rest, stream=stream)
        return AsyncAPIStream(self._driver(call)) if stream else self._respond(call)

    def _driver(self, call: Call) -> Driver:
        return Driver(self._transport, self._waits, call)

    def _run(self, call: Call) -> Any:
        return self._driver(call).run()

    async def _respond(self, call: Call) -> APIResponse:
        return APIResponse(content=await self._driver(call).run(), meta=call.meta)

    async def _notify(self, stream: AsyncChatStream[X], callbacks: StreamCallbacks) -> ChatResponse[X]:
        try:
            while (chunk := await self._next_chunk(stream, callbacks)) is not None:
                await wait.notify(callbacks.on_chunk, chunk)
            await wait.notify(callbacks.on_complete, stream.response)
        except BaseException as error:
            await stream._break_off(error)
            raise
        return stream.response

    async def _next_chunk(self, stream: AsyncChatStream[X], callbacks: StreamCallbacks) -> StreamChunk | None:
        """The next chunk; `on_error` is for an error of the call itself, not one that a callback has raised."""
        try:
            return await anext(stream, None)
        except LLMNetError as error:
            await wait.notify(callbacks.on_error, error)
            raise


class Warmer(Driver):
    """Drives a call that only connects: nothing is sent; a transport without `warm` is left as it is."""

    async def _send(self) -> None:
        warm = getattr(self._transport, "warm", None)
        if warm is not None:
            await warm(self.call.begin(), self.call.bounds)
        self.over = True
        await self.leave()
