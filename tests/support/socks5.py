"""A SOCKS5 proxy on loopback (RFC 1928, 1929) that says its part a byte at a time, and can stop or refuse anywhere."""

import contextlib
import socket
import threading

from support.proxy import Proxy

NOTHING = b"\1\0\0\0\0\0\0"  # an IPv4 address and a port, both of no meaning
REFUSED, NOT_ALLOWED = 5, 2
_READ = {1: socket.inet_ntoa, 3: bytes.decode, 4: lambda raw: socket.inet_ntop(socket.AF_INET6, raw)}


class Socks(Proxy):
    """Serves in daemon threads.

    Args:
        login: user and password that it asks for.
        code: what it answers instead of connecting.
        mute: fall silent after so many answers.
        bound: address and port that it says it is bound to.

    Attributes:
        targets: (kind of address, host, port) of what it was asked for: 1 and 4 are addresses, 3 is a name.
        logins: users and passwords that came.
        silent: set when it has fallen silent.
    """

    def __init__(self, login=None, code=0, mute=None, bound=NOTHING):
        self.login, self.code, self.mute, self.bound = login, code, mute, bound
        self.targets, self.logins, self.silent = [], [], threading.Event()

    def url(self, scheme="socks5", login=""):
        return f"{scheme}://{login}127.0.0.1:{self.port}"

    def _serve(self, client):
        self._open.add(client)
        with client, contextlib.suppress(OSError), client.makefile("rb", buffering=0) as source:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number, step in enumerate([self._greet, *([self._log_in] if self.login else []), self._connect]):
                answer = step(source)
                if number == self.mute:
                    self.silent.set()
                    client.recv(1)
                    return
                for byte in answer:
                    client.sendall(bytes([byte]))
            if not self.code:
                self._pump_both(client, self.targets[-1][1:])

    def _greet(self, source):
        _, count = exactly(source, 2)
        wanted = 2 if self.login else 0
        return bytes([5, wanted if wanted in exactly(source, count) else 255])

    def _log_in(self, source):
        user = exactly(source, exactly(source, 2)[1])
        password = exactly(source, exactly(source, 1)[0])
        self.logins.append((user.decode(), password.decode()))
        return bytes([1, self.logins[-1] != self.login])

    def _connect(self, source):
        *_, kind = exactly(source, 4)
        raw = exactly(source, {1: 4, 4: 16}.get(kind) or exactly(source, 1)[0])
        self.targets.append((kind, _READ[kind](raw), int.from_bytes(exactly(source, 2))))
        return bytes([5, self.code, 0]) + self.bound

    def _pump_both(self, client, address):
        with socket.create_connection(address) as server:
            self._open.add(server)
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()


def exactly(source, size):
    data = b""
    while len(data) < size:
        if not (piece := source.read(size - len(data))):
            raise ConnectionError("it has left")
        data += piece
    return data
