"""What a caller has in its context lives as long as the caller, not as long as a connection that it has opened."""

import asyncio
import contextvars
import gc
import ssl
import weakref

import pytest
import trustme
from support.live import at
from support.tls import serving

import llmnet
from llmnet.testing import FakeServer, Reply

MINE = contextvars.ContextVar("MINE")


class Session:
    """What a program keeps in a context."""


async def seen(client, ask):
    """Ask with a session of the asking task's own; whether anything has it once the task is over."""

    async def task():
        session = Session()
        MINE.set(session)
        await ask(client)
        return weakref.ref(session)

    session = await asyncio.create_task(task())
    await asyncio.sleep(0)
    gc.collect()
    return session() is not None


async def chat(client):
    await client.chat("hi")


async def download(client):
    async with client.request("GET", "/file", stream=True) as stream:
        async for _ in stream:
            await asyncio.sleep(0.001)  # so that more comes than is read, and the connection stops reading


@pytest.mark.parametrize("engine", ["fast", "httpx"])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("ask", [chat, download])
async def test_a_connection_keeps_no_context_of_its_caller(engine, tls, ask):
    authority = trustme.CA()
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with FakeServer(tls=serving(authority) if tls else None) as server:
        if ask is download:
            server.script(Reply(body=bytes(4_000_000)))
        async with llmnet.AsyncClient(**at(server, transport=engine, verify=trusted)) as client:
            assert not await seen(client, ask)
            assert not await seen(client, chat)
            assert server.connections == 1
