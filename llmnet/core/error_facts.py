"""Completes an error with what is known of its call by then.

The error of an attempt, which an event carries, so says what the caller would be told if the call ended there.
"""

from typing import Any

from llmnet.core.chat import ChatResponse, replace_meta
from llmnet.core.errors import APIStatusError, LLMNetError
from llmnet.core.exchange import Route
from llmnet.core.http import Meta, billed
from llmnet.core.judge import Judge


def complete(error: LLMNetError, route: Route, judge: Judge, meta: Meta, partial: ChatResponse[Any] | None) -> None:
    """Complete an error; to do so again, with what has become known since, adds nothing twice.

    Args:
        error: what an attempt, or the call, has failed with.
        route: where it was sent.
        judge: whose policy says what is retryable.
        meta: how the call went until then.
        partial: the reply as far as it had arrived.
    """
    error.provider, error.host, error.meta = route.form.provider, route.host, meta
    error.partial = None if partial is None else replace_meta(partial, meta)
    error.repeated, error.retryable = judge.repeats, judge.policy.repeats(error)
    error.maybe_billed = billed(meta.attempts)
    if isinstance(error, APIStatusError):
        meta.request_id = error.request_id = meta.request_id or error.request_id
    hint = route.secrets.hide(route.form.hint(error))  # as the message has it by then, where that was cleaned
    error.message = error.message.removesuffix(hint) + hint
