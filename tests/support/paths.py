"""Where the checkout stands, and what may lie beside it: recorded traffic and cases that do not belong to it."""

import pathlib

TESTS = pathlib.Path(__file__).parents[1]
CHECKOUT = TESTS.parent
SHARED = CHECKOUT.parent / "shared"
