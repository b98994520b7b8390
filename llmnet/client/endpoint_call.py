"""The call of `request`: any endpoint below the base address, under the same policy as a chat."""

from collections.abc import Mapping
from typing import Any

from llmnet.client.base import BaseClient
from llmnet.core import endpoint
from llmnet.core.bytes_reader import BytesReader
from llmnet.core.call import Call
from llmnet.core.credentials import in_query
from llmnet.core.extras import with_query
from llmnet.core.headers import checked_headers
from llmnet.core.request import checked_timeout
from llmnet.core.tracebacks import short_errors


@short_errors
def endpoint_call(client: BaseClient, method: Any, path: Any, arguments: Mapping[str, Any], *, stream: bool) -> Call:
    """The call that a client's `request` makes of its arguments.

    Raises:
        ConfigurationError: an argument is wrong, or the client is closed.
    """
    json, data, files, params, timeout, extra_headers = (arguments[name] for name in _ARGUMENTS)
    endpoint.check_stream(stream)
    method, (place, query) = endpoint.checked_method(method), endpoint.checked_path(path)
    values = endpoint.checked_query(params)
    headers = checked_headers(extra_headers, "extra_headers")
    bounds = client._bounds(checked_timeout(timeout), stream=stream)
    body, content_type = _body(method, json, data, files)
    form = client._form()
    url = with_query(form.url(place), query, values)
    return client._make_call(
        form,
        form.request_of(method, url, body, content_type, stream=stream),
        bounds,
        headers=headers,
        gate=(endpoint.model_in(json, data), method, place),
        stream=stream,
        reader=BytesReader,
        secrets=in_query(url),
    )


_ARGUMENTS = ("json", "data", "files", "params", "timeout", "extra_headers")


def _body(method: str, json: Any, data: Any, files: Any) -> tuple[bytes | None, str | None]:
    endpoint.check_one_body(json, data, files)
    if files is None:
        return endpoint.body_of(method, json, data)
    from llmnet.transports.multipart import encoded  # noqa: PLC0415 - urllib3, which the async front has no other use for

    return encoded(endpoint.checked_query(data, "data"), files)
