"""Any endpoint, blocking; `aio_request.py` is the same text, awaited, and a test holds the two to that."""

from collections.abc import Mapping
from typing import Any, Literal, overload

from llmnet.client.sync_chat import ChatMethods
from llmnet.client.sync_stream import Stream
from llmnet.core.api_response import APIResponse
from llmnet.core.bounds import Timeout
from llmnet.core.call import Call
from llmnet.core.http import Headers
from llmnet.core.public import public


@public
class APIStream(Stream[bytes]):
    """A reply as it arrives: an iterator of its bytes, without their content coding, and a context manager."""

    @property
    def status(self) -> int | None:
        """The HTTP status, once the head of the reply has arrived; entering the stream waits for it."""
        return self.meta.status

    @property
    def headers(self) -> Headers:
        """The response headers, once they have arrived."""
        return self.meta.headers


class RequestMethods(ChatMethods):
    """What sends requests to endpoints that have no method of their own."""

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
    ) -> APIStream: ...
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
            stream: give an `APIStream` of the body, which sends nothing before it is entered or iterated.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
            LLMNetError: the request failed, as that of a chat does: any status but 2xx is an `APIStatusError`.
        """
        from llmnet.client.other_calls import endpoint_call  # noqa: PLC0415 - loaded on use

        body = {"json": json, "data": data, "files": files}
        rest = {"params": params, "timeout": timeout, "extra_headers": extra_headers}
        call = endpoint_call(self, method, path, body | rest, stream=stream)
        return APIStream(self._driver(call)) if stream else self._respond(call)

    def _respond(self, call: Call) -> APIResponse:
        return APIResponse(content=self._driver(call).run(), meta=call.meta)
