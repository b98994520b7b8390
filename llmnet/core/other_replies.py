"""What the endpoints beside chat give, in one form for all vendors: models and vectors; values only."""

from typing import Any

import msgspec

from llmnet.core.chat import Usage
from llmnet.core.http import Meta
from llmnet.core.plain import Value, public


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
