"""Marks what is public: wherever it is defined, it is `llmnet`'s, so that a traceback names it as its users do."""

from typing import TypeVar

T = TypeVar("T")


def public(thing: T) -> T:
    """Decorate a class or function that `llmnet` exports; by this name it is pickled, too."""
    thing.__module__ = "llmnet"
    return thing
