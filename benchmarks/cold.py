"""A fresh process that imports a library, loads its client, asks once and ends; it says what each step took.

It is run by `python -c`, since `-m` would load modules that the library's own import then gets for nothing.
"""

from benchmarks.gauges import peak_memory, reading, since


def main(module: str, package: str, client: str, front: str, url: str) -> None:
    """Print the costs of the import and of the client, the peak of memory, and the reply."""
    started = reading()
    library = __import__(package)
    print(*since(started))
    getattr(library, client)
    print(*since(started))
    said = _FRONTS[front](__import__(module, fromlist=["*"]), url)
    print(peak_memory())
    print(ascii(said))


def _sync(peer, url):
    from benchmarks.content import prompt

    asking = peer.Sync(url, 1)
    said = asking.chat(prompt(1))
    asking.close()
    return said


def _async(peer, url):
    import asyncio

    from benchmarks.content import prompt

    async def ask():
        asking = peer.Async(url, 1)
        said = await asking.chat(prompt(1))
        await asking.close()
        return said

    return asyncio.run(ask())


_FRONTS = {"sync": _sync, "async": _async}
