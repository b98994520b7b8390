"""What the endpoints beside chat give: models and vectors in one form for all vendors, and any reply; values only."""

from typing import Any

import msgspec

from llmnet.core.chat import Usage
from llmnet.core.errors import InvalidResponseError
from llmnet.core.http import Headers, Meta
from llmnet.core.json import decode
from llmnet.core.plain import Value, public
from llmnet.core.reply_text import body_text


@public
class ModelInfo(Value, msgspec.Struct, frozen=True, kw_only=True):
    """A model that the service lists; `retires_at` is the vendor's date as text, where it gives one."""

    id: str
    retires_at: str | None = None
    raw: dict[str, Any] = msgspec.field(default_factory=dict)


@public
class EmbeddingResponse(Value, msgspec.Struct, frozen=True, kw_only=True):
    """Vectors in the order of the inputs, and the tokens of all requests that it took."""

    vectors: list[list[float]]
    model: str = ""
    usage: Usage = msgspec.field(default_factory=Usage)
    provider: str = ""
    meta: Meta = msgspec.field(default_factory=Meta)
    raw: dict[str, Any] | None = None


@public
class APIResponse(Value, msgspec.Struct, frozen=True, kw_only=True):
    """A reply with a 2xx status; any other status is raised as its error.

    Attributes:
        content: the body, without its content coding.
        meta: how the call went.
    """

    content: bytes = b""
    meta: Meta = msgspec.field(default_factory=Meta)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.meta.status or 0

    @property
    def headers(self) -> Headers:
        """The response headers; names match whatever their case."""
        return self.meta.headers

    @property
    def content_type(self) -> str:
        """The content type without its parameters, in lower case; `""` where the server has sent none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text, in the charset that the server names, else in UTF-8; signs that are none are replaced."""
        return body_text(self.content, self.headers)

    def json(self) -> Any:
        """The body as a JSON value.

        Raises:
            InvalidResponseError: it is none.
        """
        try:
            return decode(self.content, arrived=len(self.content))
        except ValueError as error:
            why = str(error)
        kind, size = self.content_type or "no content type", len(self.content)
        # Of the body nothing is quoted: it may show the key, which nobody can mask any more after the call.
        message = f"HTTP {self.status} with {size} bytes is no JSON ({kind}, {why}); `content` has what came"
        raise InvalidResponseError(message, meta=self.meta)

    def to_dict(self) -> dict[str, Any]:
        """Status, content type, size and meta as JSON types; `content` is the text, or `None` where it is none."""
        try:
            content = body_text(self.content, self.headers, "strict")
        except UnicodeDecodeError:
            content = None
        facts = {"status": self.status, "content_type": self.content_type, "size": len(self.content)}
        return {**facts, "content": content, "meta": self.meta.to_dict()}

    def __repr__(self) -> str:
        return f"<APIResponse {self.status} {self.content_type or 'without content type'}, {len(self.content)} bytes>"
