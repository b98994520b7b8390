"""The type of the value of a reply, as type checkers know it, and what stands in its place where there is none."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # Without `output_type`, and in a bare `ChatResponse`, it is None. For that an argument of such a type has None as
    # its default: of `NOT_GIVEN`, which is Any, pyright makes Any.
    X = TypeVar("X", default=None)
    X_co = TypeVar("X_co", default=None, covariant=True)
else:
    from typing import TypeVar

    X, X_co = TypeVar("X"), TypeVar("X_co", covariant=True)


class NoValue(msgspec.Struct, frozen=True):
    """Why a reply has no value of `output_type`, to be said when it is asked for."""

    why: str
