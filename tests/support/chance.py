"""Sources of random numbers that are none."""

import random


class Highest(random.Random):
    """Draws the ceiling: what is waited is then the backoff itself."""

    def uniform(self, a, b):
        return b


class Lowest(random.Random):
    """Draws the floor: what is waited is then the server's hint alone."""

    def uniform(self, a, b):
        return a
