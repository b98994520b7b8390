"""The server's side of TLS."""

import ssl


def serving(ca, name="127.0.0.1", spoken=()):
    """What a server of the CA needs to speak TLS, with the protocols that it offers above it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    if spoken:
        context.set_alpn_protocols(spoken)
    return context
