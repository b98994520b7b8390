"""A fresh process that imports a library, loads its client, makes one call and ends; it prints the cost of each step.

It is run by `python -c`, since `-m` would load modules that the library imports, too.
"""

import sys

from benchmarks.gauges import peak_memory, reading, since


def main(module: str, package: str, client: str, front: str, url: str) -> None:
    """Print the costs of the import and of the client, the peak of memory, and the reply."""
    started = reading()
    __import__(package)
    print(*since(started))
    getattr(sys.modules[package], client)
    print(*since(started))
    reply = _FRONTS[front](__import__(module, fromlist=["*"]), url)
    print(peak_memory())
    print(ascii(reply))


def _sync(peer, url):
    from benchmarks.content import prompt

    client = peer.Sync(url, 1)
    reply = client.chat(prompt(1))
    client.close()
    return reply


def _async(peer, url):
    import asyncio

    from benchmarks.content import prompt

    async def ask():
        client = peer.Async(url, 1)
        reply = await client.chat(prompt(1))
        await client.close()
        return reply

    return asyncio.run(ask())


_FRONTS = {"sync": _sync, "async": _async}
