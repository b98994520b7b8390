"""The logger `llmnet`, silent until the program says otherwise: whoever writes to it takes it from here."""

import logging
import traceback

LOG = logging.getLogger("llmnet")
LOG.addHandler(logging.NullHandler())


def log_failure(what: str, error: BaseException) -> None:
    """Say that a function of the caller's has failed, and where; not with what, for that may quote anything."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    code = frame.f_code
    values = (type(error).__name__, code.co_qualname, code.co_filename, line)
    names = ("error.type", "code.function.name", "code.file.path", "code.line.number")  # as OpenTelemetry names them
    LOG.error("%s: %s in %s, %s:%d", what, *values, extra=dict(zip(names, values, strict=True)))
