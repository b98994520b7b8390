"""Keeps a call's secrets out of what the HTTP libraries log while they serve it: their lines hold whole addresses."""

import logging
from contextvars import ContextVar

from llmnet.core.secrets import Secrets

# Each by its own name: a filter does not see what the children of its logger say.
LOGGERS = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    *(f"urllib3.{part}" for part in ("connectionpool", "connection", "poolmanager", "response", "util.retry")),
    *(f"hpack.{part}" for part in ("hpack", "table")),  # these write down the headers themselves
)
_FORMATTER = logging.Formatter()
_here: ContextVar[Secrets | None] = ContextVar("llmnet_secrets", default=None)


def hide_in_logs(secrets: Secrets) -> None:
    """From now on nothing that this thread or task has the libraries log shows a secret."""
    _here.set(secrets)


class _Hiding(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without a secret, also in the exception that it tells of."""
        secrets = _here.get()
        if secrets is not None:
            said = record.getMessage()
            if (hidden := secrets.hide(said)) != said:
                record.msg, record.args = hidden, ()
            if record.exc_info:
                trace = _FORMATTER.formatException(record.exc_info)
                if (hidden := secrets.hide(trace)) != trace:
                    record.exc_info, record.exc_text = None, hidden
        return True


for _name in LOGGERS:
    logging.getLogger(_name).addFilter(_Hiding())
