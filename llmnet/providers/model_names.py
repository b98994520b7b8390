"""What a model string means: `"provider:model"` is split once, and no model is sent to a provider by mistake.

Without a provider and an address, an unknown prefix and a model of another vendor are refused. No error quotes the
string, which may be a key in the wrong place: the messages hold names of our own tables.
"""

from collections.abc import Mapping

import msgspec

from llmnet.core.errors import ConfigurationError
from llmnet.providers.services import NAMED, SERVICES
from llmnet.providers.target import Service

# `ft:gpt-4o:org::id` is how OpenAI names a fine-tuned model.
_NO_PROVIDER = ("", "ft")
# The second is the one on Chinese keyboards.
_COLONS = (":", "\N{FULLWIDTH COLON}")
# What people call a service, beyond its names and aliases here.
_NICKNAMES: Mapping[str, str] = {
    **dict.fromkeys(("通义", "千问", "百炼", "灵积", "阿里", "aliyun", "alibaba", "bailian"), "dashscope"),
    **dict.fromkeys(("文心", "千帆", "百度"), "qianfan"),
    **dict.fromkeys(("智谱", "清言", "bigmodel"), "zhipu"),
    **dict.fromkeys(("豆包", "火山", "方舟", "bytedance"), "volcengine"),
    "月之暗面": "moonshot", "深度求索": "deepseek", "硅基流动": "siliconflow", "魔搭": "modelscope", "海螺": "minimax",
    "谷歌": "gemini", "微软": "azure",
}  # fmt: skip


def split(model: str) -> tuple[Service | None, str]:
    """The service named before the first colon, by any of its names, and the model; or `None` and the string."""
    prefix, rest = _cut(model)
    service = NAMED.get(prefix.lower())
    return (None, model) if service is None else (service, rest)


def _cut(model: str) -> tuple[str, str]:
    """The text before the first colon and the text after it; `""` and the string without a colon."""
    prefix, colon, rest = min((model.partition(colon) for colon in _COLONS), key=lambda parts: len(parts[0]))
    return (prefix.strip(), rest.strip()) if colon else ("", model)


class ModelNames(msgspec.Struct, frozen=True, kw_only=True):
    """How a client reads the names of models.

    Attributes:
        service: the client's service.
        named: whether the caller has named that provider.
        placed: whether an argument or a variable sets the address.
    """

    service: Service
    named: bool
    placed: bool

    def own(self, model: str) -> str:
        """The model's name without this provider as its prefix.

        Raises:
            ConfigurationError: it is meant for another provider.
        """
        service, rest = split(model)
        if service is self.service:
            return rest
        self.check(model)
        return model

    def check(self, model: str) -> None:
        """Check a name that does not begin with this provider.

        Raises:
            ConfigurationError: it is meant for another provider; the message says what to write.
        """
        if self.service.tagged or (self.named and self.placed):
            return
        service, _ = split(model)
        if service is not None:
            raise disagreement(service.name, self.service.name)
        if not (self.named or self.placed):
            _check_alone(model.lower())


def disagreement(meant: str, provider: str) -> ConfigurationError:
    """The error of a model that names another provider than the client's."""
    return ConfigurationError(
        f"the model names {meant}, but the provider is {provider}, and a client talks to one provider: make a client "
        f'for {meant}; if that is part of the model\'s own name, write "{provider}:" before it'
    )


def check_move(old: str, new: str, held: Mapping[str, object]) -> None:
    """Check that no credential for one provider is sent to the address of another.

    Args:
        old: the provider so far.
        new: the provider from now on.
        held: credentials that were not set anew, by the names of their fields.

    Raises:
        ConfigurationError: there is such a credential.
    """
    for name in sorted(held):
        if held[name]:
            raise ConfigurationError(
                f"{name} was given for {old} and would go to {new}: beside provider=, give {name}= for {new} or None, "
                f"which leaves the key to the environment, or give base_url="
            )


def _check_alone(model: str) -> None:
    """Check a name where neither the provider nor the address is set."""
    model = _normalised(model)
    prefix, _ = _cut(model)
    other = _vendor(model)
    if prefix not in _NO_PROVIDER:
        hint = nearest(prefix) or (other and other.name)
        known = f'Did you mean "{hint}:"?' if hint else f"Known are {', '.join(sorted(SERVICES))}."
        raise ConfigurationError(
            f"what stands before the colon of the model is no provider. {known} If it is part of the model's own name, "
            f'write the provider before it, as in "ollama:llama3:8b", or give provider= or base_url='
        )
    if other is not None and other.name != "openai":
        raise ConfigurationError(
            f"the model looks like one of {other.name}'s, and no provider is named: write {_fix(model, other.name)}, "
            f"or give provider= or base_url="
        )


def _vendor(model: str) -> Service | None:
    """The service that a name without a provider suggests, by its beginning or in a path: `anthropic/claude-3`."""
    for part in map(str.strip, model.replace("/", ".").split(".")):
        known = NAMED.get(part) or next((one for one in SERVICES.values() if part.startswith(one.families)), None)
        if known is not None:
            return known
    return None


def _fix(model: str, provider: str) -> str:
    """How to name the provider of a model."""
    if "/" in model:  # a gateway's name for it, which the vendor itself rejects
        return f'"{provider}:" and its name there, or before all of it the provider that serves it, as in "openrouter:"'
    return f'"{provider}:" and the name of a model' if model in NAMED else f'"{provider}:" before it'


def _normalised(model: str) -> str:
    """A name without blanks around it and without invisible characters."""
    if not model.isascii():
        import unicodedata  # noqa: PLC0415 - for the rare name that is not ASCII

        folded = unicodedata.normalize("NFKC", model)
        model = "".join(sign for sign in folded if unicodedata.category(sign) != "Cf")
    return model.strip()


def nearest(word: str) -> str | None:
    """The name of the service that a misspelt one is closest to."""
    import difflib  # noqa: PLC0415 - only needed for the message of an error

    known = {**{name: name for name in NAMED}, **_NICKNAMES}
    word = word[:40].lower()
    # A Chinese name may be part of a longer one; a Latin name is not searched in what may be a key.
    part = next((name for name in _NICKNAMES if not name.isascii() and name in word), None)
    found = part or next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.65)), None)
    return found and known[found]
