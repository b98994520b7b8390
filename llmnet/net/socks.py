"""Requests a connection from a SOCKS5 proxy (RFC 1928, 1929), without I/O: the fronts carry the bytes."""

from collections.abc import Generator
from typing import TypeAlias

from llmnet.net.proxy import Proxy, ProxyRefusedError

# Yields what to send and how many bytes of the answer to read, and is sent these.
Talk: TypeAlias = Generator[tuple[bytes, int], bytes, None]

# The head of the last answer ends with the first byte of an address; its type tells how many bytes follow.
_HEAD, _NAME = 5, b"\x03"
_LEFT = {b"\x01": 3 + 2, b"\x04": 15 + 2}


def talk(proxy: Proxy, host: str, port: int) -> Talk:
    """Have a proxy connect to a host.

    Raises:
        ProxyRefusedError: it does not, or has another protocol.
    """
    import socksio  # noqa: PLC0415 - of an extra

    try:
        yield from _talk(proxy, host, port)
    except OverflowError:
        refusal = ProxyRefusedError("SOCKS5 has no room for so long a name, user or password", retryable=False)
    except socksio.ProtocolError:
        refusal = ProxyRefusedError("it speaks no SOCKS5", retryable=True)
    else:
        return
    # Outside of the `except`: the innermost cause is what an error names.
    raise refusal


def _talk(proxy: Proxy, host: str, port: int) -> Talk:
    from socksio import socks5  # noqa: PLC0415 - of an extra

    methods = socks5.SOCKS5AuthMethod
    offered = [methods.NO_AUTH_REQUIRED, *([] if proxy.username is None else [methods.USERNAME_PASSWORD])]
    chosen = socks5.SOCKS5AuthReply.loads((yield socks5.SOCKS5AuthMethodsRequest(offered).dumps(), 2)).method
    if chosen not in offered:
        why = "authentication failed: it wants another kind, or a user and a password"
        raise ProxyRefusedError(why, retryable=False)
    if chosen is methods.USERNAME_PASSWORD:
        credentials = ((proxy.username or "").encode(), (proxy.password or "").encode())
        answer = yield socks5.SOCKS5UsernamePasswordRequest(*credentials).dumps(), 2
        if not socks5.SOCKS5UsernamePasswordReply.loads(answer).success:
            raise ProxyRefusedError("authentication failed: user or password are wrong", retryable=False)
    head = yield socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port)).dumps(), _HEAD
    left = head[4] + 2 if head[3:4] == _NAME else _LEFT.get(head[3:4], 0)
    codes, code = socks5.SOCKS5ReplyCode, socks5.SOCKS5Reply.loads(head + (yield b"", left)).reply_code
    if code is not codes.SUCCEEDED:
        why = code.name.lower().replace("_", " ")
        allowed = code is not codes.CONNECTION_NOT_ALLOWED_BY_RULESET
        raise ProxyRefusedError(f"it makes no connection: {why}", retryable=allowed)


def ended() -> bytes:
    """Raise that the proxy has closed the connection in place of an answer."""
    raise ConnectionResetError("it closed the connection")
