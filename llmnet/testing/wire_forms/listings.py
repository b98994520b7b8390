"""Embeddings and lists of models, equal at every vendor except for names and pages."""

import base64
import hashlib
import struct
from collections.abc import Sequence
from typing import Any

from llmnet.providers.reading import dict_of
from llmnet.testing.script import Received
from llmnet.testing.wire_forms import chat, messages, native
from llmnet.testing.wire_forms.common import CREATED, Answer, ReplyFormat, pieces

TOOL_CALLER = "fake-tools"
MODEL_IDS = (*(f"fake-{number}" for number in range(1, 26)), TOOL_CALLER)  # more than a page of every vendor with pages

_DIMENSION = 8


def _vector(text: Any, size: int) -> list[float]:
    """Derive a vector from the text only; all its numbers are exact in 32 bits."""
    return [(byte - 128) / 128 for byte in hashlib.shake_128(repr(text).encode()).digest(size)]


def _inputs(value: Any) -> list[Any]:
    """Give the list of inputs, which may be one text, texts, one list of tokens or lists of tokens."""
    single = not isinstance(value, list) or (value and all(isinstance(item, int) for item in value))
    return [value] if single else value


def _tokens(inputs: Sequence[Any]) -> int:
    return sum(len(item) if isinstance(item, list) else len(pieces(str(item))) for item in inputs)


def _count(value: Any, default: int) -> int:
    """Read a positive number of at most five digits from a body or a query."""
    text = str(value)
    return (int(text) if text.isdecimal() and len(text) <= 5 else 0) or default


def _embeddings(answer: Answer, request: Received) -> dict[str, Any]:
    inputs = _inputs(request.fields.get("input") or [])
    vectors: list[Any] = [_vector(item, _count(request.fields.get("dimensions"), _DIMENSION)) for item in inputs]
    if request.fields.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": answer.model,
        "usage": {"prompt_tokens": _tokens(inputs), "total_tokens": _tokens(inputs)},
    }


def _native_embeddings(answer: Answer, request: Received) -> dict[str, Any]:
    texts = _inputs(dict_of(request.fields.get("input")).get("texts") or [])
    size = _count(native.parameters(request).get("dimension"), _DIMENSION)
    found = [{"text_index": index, "embedding": _vector(text, size)} for index, text in enumerate(texts)]
    output, usage = {"embeddings": found}, {"total_tokens": _tokens(texts)}
    return {"output": output, "usage": usage, "request_id": f"req_{answer.id}"}


def _row(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"}


def _anthropic_row(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-01T00:00:00Z"}


def _models(_: Answer, __: Received) -> dict[str, Any]:
    return {"object": "list", "data": [_row(name) for name in MODEL_IDS]}


def _anthropic_models(_: Answer, request: Received) -> dict[str, Any]:
    after, limit = request.query.get("after_id"), _count(request.query.get("limit"), 20)
    start = MODEL_IDS.index(after) + 1 if after in MODEL_IDS else 0
    page = MODEL_IDS[start : start + limit]
    rows = [_anthropic_row(name) for name in page]
    more = start + limit < len(MODEL_IDS)
    return {"data": rows, "has_more": more, "first_id": next(iter(page), None), "last_id": (page or (None,))[-1]}


def _native_models(answer: Answer, request: Received) -> dict[str, Any]:
    number, size = _count(request.query.get("page_no"), 1), _count(request.query.get("page_size"), 10)
    rows = [{"model": name, "provider": "fake"} for name in MODEL_IDS[(number - 1) * size : number * size]]
    output = {"models": rows, "page_no": number, "page_size": size, "total": len(MODEL_IDS)}
    return {"output": output, "request_id": f"req_{answer.id}"}


EMBEDDINGS = ReplyFormat(_embeddings, chat.VENDOR)
NATIVE_EMBEDDINGS = ReplyFormat(_native_embeddings, native.VENDOR)
MODELS = ReplyFormat(_models, chat.VENDOR)
MODEL = ReplyFormat(lambda answer, _: _row(answer.model), chat.VENDOR)
ANTHROPIC_MODELS = ReplyFormat(_anthropic_models, messages.VENDOR)
ANTHROPIC_MODEL = ReplyFormat(lambda answer, _: _anthropic_row(answer.model), messages.VENDOR)
NATIVE_MODELS = ReplyFormat(_native_models, native.VENDOR)
