"""Bounds that expire within a test, and how late one may be."""

from llmnet.core.bounds import Timeout

BOUND = 0.2
LATE = 5.0  # seconds: a bound that does not hold at all is much later


def timeout(**bounds):
    """Bounds of which only those named can expire within a test."""
    return Timeout(**{**dict.fromkeys(("connect", "response", "idle", "total"), 60), **bounds})
