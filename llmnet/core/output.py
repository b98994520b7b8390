"""The value that a reply is to have: the type that the caller wants, and what is said of a reply without one."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llmnet.core.chat import ChatResponse, FinishReason, NoValue, StreamChunk
from llmnet.core.errors import ConfigurationError, OutputError
from llmnet.core.json_schema import Codec, codec_of, name_of
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.preview import shown
from llmnet.core.reply_reader import ReplyReader

_REFUSED = (FinishReason.REFUSAL, FinishReason.CONTENT_FILTER)
# Parameters of the vendors that ask for a format, and the field of theirs that does.
_FORMATS = {"response_format": None, "text": "format", "output_config": "format", "output_format": None}


class Output(msgspec.Struct, frozen=True, eq=False):
    """What a call wants as the value of its reply; one for each type, so that what is made of its schema can be kept.

    Attributes:
        name: the name of the type.
        schema: its JSON schema, which nobody may change.
        decode: makes a value of a JSON text; a `ValueError` says what does not fit.
        misfit: what is said of a reply that does not, `""` for "is no City".
    """

    name: str
    schema: dict[str, Any]
    decode: Callable[[str], Any]
    misfit: str = ""

    def read(self, reply: ChatResponse[Any], text: str) -> ChatResponse[Any]:
        """The reply with its value; one that calls tools has none, and says so when it is asked for it.

        Args:
            reply: the reply.
            text: that part of it which the value is to stand in.

        Raises:
            OutputError: the reply has no value of the type.
        """
        if reply.tool_calls:
            # No name of theirs: said after the call, when nobody can mask a key in it any more.
            why = f"the reply has no {self.name}: it calls tools; see its tool_calls"
            return msgspec.structs.replace(reply, parsed=NoValue(why))
        if reply.refusal or reply.finish_reason in _REFUSED:
            said = f": {shown(reply.refusal)}" if reply.refusal else f" ({reply.finish_reason})"
            raise OutputError(f"the model refused to give a {self.name}{said}", reason="refusal")
        if reply.finish_reason is FinishReason.LENGTH:
            raise OutputError(
                f"the reply was cut off after {len(reply.content)} characters of a {self.name}; a higher max_tokens "
                "leaves more room",
                reason="length",
            )
        try:
            return msgspec.structs.replace(reply, parsed=self.decode(text))
        except ValueError as error:
            why = str(error)
        raise OutputError(f"the reply {self.misfit or f'is no {self.name}'}: {shown(why)}", reason="mismatch")

    def reader(self, *args: Any, **options: Any) -> ReplyReader:
        """What reads the reply to an attempt; arguments as of `ReplyReader`."""
        return _OutputReader(self, *args, **options)


class _OutputReader(ReplyReader):
    """Reads a reply, and its value out of it."""

    def __init__(self, output: Output, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._output = output

    def end(self) -> list[StreamChunk]:
        chunks = super().end()
        try:
            self.value = self._output.read(self.value, self.form.answer(self.draft) or self.value.content)
        except OutputError as error:
            raise AttemptError(Outcome(error)) from None
        return chunks


def output_of(kind: Any, params: Mapping[str, Any]) -> Output:
    """What `output_type` asks for, beside the other parameters of a call; an `Output` is what it is.

    Raises:
        ConfigurationError: it is no type that can be asked for, or another parameter asks for a format, too.
    """
    output = kind if isinstance(kind, Output) else _output(kind, codec_of(kind))  # refuses what is no type
    for name, field in _FORMATS.items():
        wanted = params.get(name)
        if wanted is not None and (field is None or (isinstance(wanted, Mapping) and wanted.get(field) is not None)):
            raise ConfigurationError(f"output_type and {name} both say what the reply is to be; give one of them")
    return output


@functools.lru_cache(maxsize=256)
def _output(kind: Any, codec: Codec) -> Output:
    return Output(name_of(kind), codec.schema, codec.decode)
