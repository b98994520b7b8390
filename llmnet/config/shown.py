"""What of a config may be shown: no key, no headers, no password of a proxy, no query of an address."""

import re
from typing import Any

from llmnet.core.plain import Returnable, fields_of

_SECRET = ("api_key", "headers")
_CREDENTIALS = r"^((?:[^:/@]*://)?).*@"


class Shown(Returnable):
    """A config as text, and as plain JSON."""

    __slots__ = ()

    def __repr__(self) -> str:
        return written("ClientConfig", self)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, without key and headers, nor extras and queries: they may hold a key, too."""
        shown = {name: value for name, value in fields_of(self).items() if name not in _SECRET}
        if shown["defaults"]:
            for extra in ("extra_body", "extra_query"):
                shown["defaults"].pop(extra, None)
        return shown | {"base_url": without_query(shown["base_url"]), "proxy": _without_login(shown["proxy"])}


def written(kind: str, config: Any, **effective: Any) -> str:
    """A line that shows a config, with what has come of some of its fields in the place of what was given."""
    given = {
        name: getattr(config, name) for name in ("provider", "model", "base_url", "api", "max_retries")
    } | effective
    shown = given | {"provider": str(config.provider), "base_url": without_query(given["base_url"])}
    return f"{kind}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def without_query(url: str | None) -> str | None:
    """An address without its query, which may hold a key."""
    return url and url.partition("?")[0]


def _without_login(proxy: str | None) -> str | None:
    return proxy and re.sub(_CREDENTIALS, r"\1", proxy, flags=re.DOTALL)
