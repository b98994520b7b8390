"""The blocking client; a test holds it and `aio.py` to one text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, Unpack

from llmnet.client.sync_calls import CallMethods, Warmer
from llmnet.config.checks import ClientFields, given_transport
from llmnet.config.fields import ClientConfig
from llmnet.core.bounds import Timeout
from llmnet.core.chat import X
from llmnet.core.other_replies import EmbeddingResponse, ModelInfo
from llmnet.core.params import NOT_GIVEN
from llmnet.core.plain import public
from llmnet.core.tool_call import Tool
from llmnet.transports.sync import transport, wait

if TYPE_CHECKING:
    from llmnet.batch.rows import Progress
    from llmnet.batch.threads import Batch
    from llmnet.client.other_calls import MultiRequest, T


@public
class Client(CallMethods):
    """Talks to one provider; safe to share between threads.

    Args:
        model_or_config: a model string like `"openai:gpt-5.4-mini"`, or a `ClientConfig`.
        **fields: the fields of `ClientConfig`; they override it.

    Raises:
        ConfigurationError: a field is wrong, or a key or address is missing.
    """

    def __init__(self, model_or_config: str | ClientConfig | None = None, /, **fields: Unpack[ClientFields]) -> None:
        super().__init__(model_or_config, **fields)
        self._waits, config = wait.SyncWait(), self.config
        self._transport = given_transport(config, "close") or transport.Transport(
            proxy=config.proxy,
            verify=config.verify,
            pool_size=config.max_concurrent,
            http2=config.http2,
            engine=str(config.transport),
        )

    def embed(
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
        from llmnet.client.other_calls import Embeddings  # noqa: PLC0415 - loaded on use

        return self._all(Embeddings(self, inputs, model, timeout, extra_headers, params))

    def list_models(self) -> list[ModelInfo]:
        """List the models of the provider, all pages.

        Raises:
            ConfigurationError: the provider has no such list.
            LLMNetError: a request failed.
        """
        from llmnet.client.other_calls import ModelList  # noqa: PLC0415

        return self._all(ModelList(self))

    def batch(  # noqa: D417 - the rest is in the docstring of `chat`
        self,
        requests: Iterable[Any],
        *,
        max_concurrent: int | None = None,
        ordered: bool = False,
        stop_after_errors: int | None = None,
        progress: "Progress" = None,
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
    ) -> "Batch[X]":
        """Ask many times, with bounded concurrency and memory; a failure is a result like any other.

        A row is what `chat` takes as `messages`, a dict of `chat`'s arguments (with `prompt` or `messages`, and a
        `custom_id` of your own), or a line of an OpenAI Batch file. Throttles are waited out for up to an hour, unless
        `retry=` or `timeout=` of the client says otherwise.

        Args:
            requests: the rows; they are taken one by one, as there is room for them.
            max_concurrent: calls in flight, within those that the client allows.
            ordered: give the results in the order of the rows, not as they come.
            stop_after_errors: after so many failed rows take no more; those in flight are finished.
            progress: `True` for a bar on the terminal, or a function that is given `BatchProgress`.
            model: this and all that follow are arguments of `chat` for all rows; a row's own go before them.
            **params: more of them.

        Raises:
            ConfigurationError: an argument is wrong.
        """
        from llmnet.batch import base, threads  # noqa: PLC0415
        from llmnet.client.rows import calls_with  # noqa: PLC0415

        params = {
            "model": model, "timeout": timeout, "extra_headers": extra_headers, "temperature": temperature,
            "max_tokens": max_tokens, "top_p": top_p, "stop": stop, "seed": seed, "n": n, "tools": tools,
            "tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls, "response_format": response_format,
            "reasoning_effort": reasoning_effort, "user": user, "metadata": metadata, "output_type": output_type,
            **params,
        }  # fmt: skip
        state, report = base.planned(
            requests,
            self.config.max_concurrent,
            max_concurrent=max_concurrent,
            ordered=ordered,
            stop_after_errors=stop_after_errors,
            progress=progress,
        )
        lasting = base.patience(self.config.policy, self.config.timeout)
        patient = self.with_options(**lasting, on_event=report.hook(self.config.on_event))
        engine = threads.Engine(requests, state, make=calls_with(patient, params), run=patient._run)
        return threads.Batch(engine, report)

    def with_options(self, **fields: Unpack[ClientFields]) -> Self:
        """Make a cheap child that shares connections, queue, budget and counters; closing it closes nothing.

        Raises:
            ConfigurationError: a field is wrong, or is one that only the parent can have.
        """
        child = self._child(type(self).__new__(type(self)), fields)
        child._transport, child._waits = self._transport, self._waits
        return child

    def warm(self) -> None:
        """Open one more connection to where the calls go, and keep it idle for a minute at most; no request is sent.

        Nothing is done where a connection is made for a request alone: by httpx's own engine (`http2=True`,
        `transport="httpx"`), beside libraries that mock requests, and by a transport of your own without `warm`.

        Raises:
            LLMNetError: the one attempt failed, as that of a call does.
        """
        from llmnet.client.other_calls import warm_call  # noqa: PLC0415

        Warmer(self._transport, self._waits, warm_call(self)).run()

    def close(self) -> None:
        """End all calls in flight with `APIConnectionError`, and close all connections.

        Idempotent; what an interrupt has kept from being closed, the next one closes.
        """
        if not self._is_child:
            self._common.close()
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, requests: "MultiRequest[T]") -> "T":
        with requests:
            for call in requests.calls():
                requests.reply = self._run(call)
        return requests.result
