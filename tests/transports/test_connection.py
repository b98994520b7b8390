"""A connection of the fast transport: what comes before its first exchange, within it, and after it."""

import asyncio
import contextlib
import socket
import ssl
import threading

import httpcore
import pytest
import trustme
from support.tls import serving

from llmnet.net.proxy import Proxy
from llmnet.transports.aio.connect import Connector
from llmnet.transports.aio.connection import Connection
from llmnet.transports.aio.stream import Frames, Stream
from llmnet.transports.http1_reader import Http1Reader

REPLY = b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nhi"


class Nobody:
    """Waits for no news."""

    def wake(self):
        pass


@contextlib.asynccontextmanager
async def pair():
    """A connection, and the other end of it."""
    ours, theirs = socket.socketpair()
    with theirs:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, sock=ours)
        yield connection, theirs
        connection.abort()
        await turns()


async def turns():
    """Let the loop see what has come; each turn looks at all sockets."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("ends", [False, True])
async def test_what_comes_before_the_first_exchange_is_its_reply(ends):
    async with pair() as (connection, theirs):
        theirs.sendall(REPLY[:20])
        await turns()
        theirs.sendall(REPLY[20:])
        if ends:
            theirs.shutdown(socket.SHUT_WR)
        await turns()
        reader = Http1Reader()
        connection.begin(Nobody().wake, reader)
        assert (reader.status, reader.done, reader.take()) == (503, True, b"hi")


async def test_too_much_before_it_ends_the_connection():
    async with pair() as (connection, theirs):
        theirs.sendall(b"x" * 70_000)
        await turns()
        assert connection.lost


async def test_what_comes_between_two_exchanges_ends_it():
    async with pair() as (connection, theirs):
        reader = Http1Reader()
        connection.begin(Nobody().wake, reader)
        theirs.sendall(REPLY)
        await turns()
        assert reader.done
        connection.rest()
        assert connection.usable
        theirs.sendall(REPLY)
        await turns()
        assert not connection.usable


async def test_an_end_between_two_exchanges_is_seen():
    async with pair() as (connection, theirs):
        connection.begin(Nobody().wake, Http1Reader())
        connection.rest()
        theirs.shutdown(socket.SHUT_WR)
        await turns()
        assert not connection.usable


async def test_what_nobody_reads_is_not_taken_from_the_server_without_end():
    async with pair() as (connection, theirs):
        reader = Http1Reader()
        connection.begin(Nobody().wake, reader)
        theirs.setblocking(False)
        theirs.send(b"HTTP/1.1 200 OK\r\n\r\n")
        sent, idle = 0, 0
        while idle < 5:
            try:
                sent += theirs.send(b"x" * 65536)
                idle = 0
            except BlockingIOError:
                idle += 1
            await turns()
        assert reader.buffered < 2**20
        assert sent < 2**23
        while reader.take():
            connection.resume()
            await turns()
        assert theirs.send(b"x") == 1


@pytest.mark.parametrize("frames", [None, Frames()], ids=["HTTP/1.1", "HTTP/2"])
async def test_what_has_come_is_an_answer_in_http1_alone(frames):
    """In HTTP/2 it may be a part of any body, in which the model may write of HTTP."""
    async with pair() as (connection, theirs):
        stream = Stream(connection)
        stream._frames = frames  # private: TLS chooses it
        theirs.sendall(b"\r\n\r\n" + REPLY)
        await turns()
        with contextlib.nullcontext() if frames else pytest.raises(httpcore.WriteError):
            await stream.write(b"more")
        theirs.setblocking(False)
        with contextlib.nullcontext() if frames else pytest.raises(BlockingIOError):
            assert theirs.recv(100) == b"more"


def frame(kind, payload=b"", flags=0, stream=0):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


@contextlib.asynccontextmanager
async def frames_pair():
    async with pair() as (connection, theirs):
        stream = Stream(connection)
        stream._frames = Frames()  # private: TLS chooses it
        yield stream, theirs


async def test_a_frame_goes_out_whole_whoever_is_cancelled():
    """Others speak over the same connection; some servers take frames of a megabyte."""
    async with frames_pair() as (stream, theirs):
        theirs.setblocking(False)
        sent, come = frame(0, bytes(2**20), stream=1), 0
        writing = asyncio.create_task(stream.write(sent))
        await turns()
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()
        while come < len(sent):
            come += len(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(theirs, 2**16), 30))


async def reads(stream):
    """What another task reads, if it need not wait for it."""
    reading = asyncio.create_task(stream.read(100))
    await turns()
    reading.cancel()
    await asyncio.wait([reading])
    return None if reading.cancelled() else reading.result()


async def test_room_that_another_task_has_read_of_is_waited_for_by_none():
    """httpcore waits for what comes next, though there may be room already, and nothing else to come."""
    h2 = pytest.importorskip("h2.connection")
    async with frames_pair() as (stream, theirs):
        assert await reads(stream) is None  # nothing may go before the first frame
        theirs.sendall(frame(4) + frame(8, b"\0\1\0\0"))
        assert await stream.read(100) == frame(4) + frame(8, b"\0\1\0\0")
        spoken = h2.H2Connection()
        spoken.initiate_connection()
        passed_over = await reads(stream)
        spoken.receive_data(frame(4) + passed_over)
        reading = asyncio.create_task(stream.read(100))
        await asyncio.wait([reading], timeout=30)
        assert reading.result() == passed_over  # each task once
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stream.read(100)  # this one has read of it


async def test_a_head_in_pieces_is_not_cut():
    async with frames_pair() as (stream, theirs):
        theirs.sendall(frame(8, b"\0\1\0\0") + frame(1, b"head", stream=1))
        await stream.read(100)
        assert await reads(stream) is None
        theirs.sendall(frame(9, b"more", flags=4, stream=1))
        assert await stream.read(100) == frame(9, b"more", flags=4, stream=1)
        assert await reads(stream)


@pytest.mark.parametrize("direct", [False, True], ids=["tunnel", "direct"])
async def test_what_comes_with_the_end_of_a_handshake_is_kept(direct):
    """A server of HTTP/2 speaks first, in TLS 1.2 in the very packet that ends the handshake."""
    ca = trustme.CA()
    secure = serving(ca)
    secure.maximum_version = ssl.TLSVersion.TLSv1_2
    trusted = ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_speak_first, args=(listener, secure, direct))
        thread.start()
        port = listener.getsockname()[1]
        proxy = None if direct else Proxy(f"http://127.0.0.1:{port}", "http", "127.0.0.1", port)
        connection = await Connector(proxy, trusted, "async").connect("127.0.0.1", port)
        stream = Stream(connection)
        assert await stream.read(100) == b"SETTINGS"
        assert not connection.lost
        await stream.aclose()
        await asyncio.to_thread(thread.join)


def _speak_first(listener, context, direct):
    sock, _ = listener.accept()
    with sock:
        if not direct:
            assert sock.recv(1000).startswith(b"CONNECT ")
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        come, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
        above = context.wrap_bio(come, gone, server_side=True)
        shaken = False
        while not shaken:
            come.write(sock.recv(10_000))
            with contextlib.suppress(ssl.SSLWantReadError):
                above.do_handshake()
                above.write(b"SETTINGS")
                shaken = True
            sock.sendall(gone.read())
        sock.recv(1)
