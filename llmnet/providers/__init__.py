"""What the vendors expect and send: wire forms and services as pure code and tables; nothing here does I/O."""

from importlib import import_module

from llmnet.providers.form import Form
from llmnet.providers.target import Target

# A module is imported when a client uses its wire form.
_FORMS = {
    "chat-completions": ("llmnet.providers.openai_chat", "ChatCompletions"),
    "responses": ("llmnet.providers.responses", "Responses"),
    "messages": ("llmnet.providers.anthropic", "Messages"),
    "native": ("llmnet.providers.dashscope", "Native"),
}


def make_form(name: str, target: Target) -> Form:
    """The wire form of that name for a target."""
    module, cls = _FORMS[name]
    form: Form = getattr(import_module(module), cls)(target)
    return form
