"""The wire forms, one row each: its name, and the class that writes its requests and reads its replies.

A wire form is how an API writes requests, replies, streams and errors. Which services offer it, where, and under which
name of `api=`, stands in the rows of `llmnet/providers/services.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmnet.providers.form import Form
    from llmnet.providers.target import Target

CHAT, RESPONSES, MESSAGES, NATIVE = "chat-completions", "responses", "messages", "native"

# name: (module, class); the module is imported when a client uses the form.
WIRE_FORMS = {
    CHAT: ("llmnet.providers.openai_chat", "ChatCompletions"),
    RESPONSES: ("llmnet.providers.responses", "Responses"),
    MESSAGES: ("llmnet.providers.anthropic", "Messages"),
    NATIVE: ("llmnet.providers.dashscope", "Native"),
}


def make_form(name: str, target: "Target") -> "Form":
    """The wire form of that name for a target."""
    module, cls = WIRE_FORMS[name]
    form: Form = getattr(import_module(module), cls)(target)
    return form
