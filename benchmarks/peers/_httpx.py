"""httpx."""

import httpx

from benchmarks.peers import _httpx_way


class Sync(_httpx_way.Sync):
    library = httpx


class Async(_httpx_way.Async):
    library = httpx
