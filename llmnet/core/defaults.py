"""What a client adds to each chat: defaults below the call's arguments, a system message before the conversation."""

from collections.abc import Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.core.extras import take_extras
from llmnet.core.json import check_json
from llmnet.core.request import checked_params, with_schemas

# Arguments of a call that are no defaults, and what to do instead.
_NO_DEFAULTS = {
    "model": "give model= to the client",
    "timeout": "give timeout= to the client",
    "extra_headers": "give headers= to the client",
    "output_type": "give it to the call, whose reply is typed by it",
    "messages": "give system= to the client, which goes before all messages",
}
# Names of one thing: whichever of them a call has, none of the others is left of the defaults.
_ONE_THING = (("max_tokens", "max_completion_tokens", "max_output_tokens"), ("stop", "stop_sequences"))
_OTHER_NAMES = {name: {*names} - {name} for names in _ONE_THING for name in names}


def checked_defaults(value: Any, name: str) -> dict[str, Any]:
    """Check the defaults of a client as a call checks its arguments; all dicts and lists in them are copied."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigurationError(f"{name} must be a dict of arguments of chat like {{'temperature': 0}}")
    if wrong := next((key for key in value if key in _NO_DEFAULTS), None):
        raise ConfigurationError(f"{name}: {wrong}= cannot be one; {_NO_DEFAULTS[wrong]}")
    params = dict(value)
    try:
        take_extras(params)
        given, _ = checked_params(with_schemas(params)[0])
        for key, one in given.items():
            check_json(one, key)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    return {key: copied(one) for key, one in value.items()}


def copied(value: Any) -> Any:
    """A value with dicts and lists of its own, all the way down: what is done to the others later changes nothing."""
    if isinstance(value, Mapping):
        return {key: copied(one) for key, one in value.items()}
    return [copied(one) for one in value] if isinstance(value, list) else value


def checked_system(value: Any, name: str) -> str:
    """Check the system message of a client."""
    if not isinstance(value, str) or not value.strip():
        said = "a blank one" if isinstance(value, str) else type(value).__name__
        raise ConfigurationError(f"{name} must be a text, or None for no system message, not {said}")
    check_json(value, name)
    return value


def over_defaults(defaults: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters over the defaults: they win, `None` too, and so they do over other names of one thing."""
    replaced = set[str]().union(*(_OTHER_NAMES[name] for name in params.keys() & _OTHER_NAMES.keys()))
    if params.get("output_type") is not None:
        replaced.add("response_format")
    return {**{name: value for name, value in defaults.items() if name not in replaced}, **params}
