"""What an error suggests about the settings: a base URL without its version, a server that is not running."""

import re
from urllib.parse import SplitResult, urlsplit

from llmnet.core.errors import APIConnectionError, APIStatusError, InvalidResponseError, LLMNetError
from llmnet.core.hosts import is_this_machine
from llmnet.core.preview import cut
from llmnet.providers.target import MESSAGES, Target

_LONGEST = 200
_VERSION = r"/v\d+[a-z]*(?=/|$)"
# What people leave behind the version: the rest of an address that they have tried.
_TOO_MUCH = r"(/v\d+)(?:/chat|/models?|/v\d+)+$"
# A server that does not know the path, whatever status it says so with; LM Studio does so with 200.
_NO_SUCH_PATH = r"unexpected endpoint|invalid url|no such (path|route|endpoint)"
# That which is missing is not the address.
_OTHER = r"model|deployment"
_START = {"ollama": "ollama serve", "vllm": "vllm serve MODEL", "lmstudio": "lms server start"}


def hint(error: LLMNetError, target: Target) -> str:
    """What to look at first, to be appended to the message of an error that ends a call; "" where nothing is clear."""
    where = urlsplit(target.base_url)
    if isinstance(error, APIConnectionError):
        return _not_running(error, target, where)
    service = target.service
    public = (service.base_url, service.base_url + service.apis[target.api].path)
    if not _is_no_such_path(error) or target.base_url.rstrip("/") in public:
        return ""
    return _address(target, where, is_named=bool(getattr(error, "code", None) or getattr(error, "type", None)))


def _not_running(error: APIConnectionError, target: Target, where: SplitResult) -> str:
    """Nothing listens on a port of this machine."""
    if error.phase != "connect" or "refused" not in error.message.lower() or not is_this_machine(where.hostname or ""):
        return ""
    name = target.service.name
    started = f"is {name} running ({_START[name]})" if name in _START else "is the server running"
    return f"; nothing listens at {where.netloc}: {started}?"


def _is_no_such_path(error: LLMNetError) -> bool:
    """Whether the server knows nothing of the path, or it is that of a page for people."""
    if isinstance(error, InvalidResponseError):
        return error.meta is not None and "html" in error.meta.headers.get("content-type", "").lower()
    if not isinstance(error, APIStatusError):
        return False
    said = f"{error.code} {error.message}"
    is_missing = error.http_status in (404, 405) and not re.search(_OTHER, said, re.IGNORECASE)
    return is_missing or re.search(_NO_SUCH_PATH, error.message, re.IGNORECASE) is not None


def _address(target: Target, where: SplitResult, *, is_named: bool) -> str:
    """What the base URL lacks, or has too much of; an error that has a name comes from an API, where that is right."""
    path, usual = where.path.rstrip("/"), _usual(target)
    base = _shown(where, path)
    if found := re.search(_TOO_MUCH, path):
        return f"; the base URL {base} is that of a call: did you mean {_shown(where, path[: found.end(1)])}?"
    if re.search(_VERSION, path) or target.service.apis[target.api].form == MESSAGES:  # whose path has its own
        return "" if is_named else f"; is the base URL {base} right?"
    version = usual[usual.rindex("/v") :]
    better = usual if usual.startswith(f"{path}/") else path + version
    return f"; the base URL {base} has no {version}: did you mean {_shown(where, better)}?"


def _usual(target: Target) -> str:
    """The path of the service's own address, which a server that speaks its language is likely to have, too."""
    service = target.service
    usual = service.apis[target.api].path or urlsplit(service.base_url).path
    return usual if re.search(_VERSION, usual) else "/v1"


def _shown(where: SplitResult, path: str) -> str:
    """An address without its query, which may hold a key."""
    return cut(f"{where.scheme}://{where.netloc}{path}", _LONGEST)
