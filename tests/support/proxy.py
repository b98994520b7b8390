"""A proxy on loopback, of the least that is one: it forwards plain requests and tunnels the others."""

import contextlib
import re
import socket
import threading
from urllib.parse import urlsplit


class Proxy:
    """Serves in daemon threads.

    Attributes:
        requests: the request lines that came.
        credentials: the values of `Proxy-Authorization` that came with them.
    """

    def __enter__(self):
        self.requests, self.credentials, self._open = [], [], set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self._open.add(client)
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := client.recv(65536)):
                    return
                head += data
            line, rest = head.split(b"\r\n", 1)
            self.requests.append(line.decode())
            found = re.search(rb"proxy-authorization: ([^\r]*)\r\n", rest, re.IGNORECASE)
            self.credentials.append(found[1].decode() if found else None)
            self._join(client, line.decode(), rest)

    def _join(self, client, line, rest):
        """Connect to where the client wants to go; what follows on its connection goes there unread."""
        method, target, version = line.split()
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        with socket.create_connection((url.hostname, url.port)) as server:
            self._open.add(server)
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = url.path or "/"
                server.sendall(f"{method} {path} {version}\r\nconnection: close\r\n".encode() + rest)
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()

    def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class TLSProxy(Proxy):
    """A proxy that is itself spoken to over TLS.

    Args:
        tls: the context of its side.
    """

    def __init__(self, tls):
        self._tls = tls

    def _serve(self, client):
        try:
            client = self._tls.wrap_socket(client, server_side=True)
        except OSError:
            client.close()
        else:
            super()._serve(client)  # of the class above, not of llmnet
