"""httpx2."""

import httpx2

from benchmarks.peers import _httpx_way


class Sync(_httpx_way.Sync):
    library = httpx2


class Async(_httpx_way.Async):
    library = httpx2
