"""Makes the TLS contexts of both fronts, one a process for each setting and use; hints for certificates refused.

Making a context costs tens of milliseconds and hundreds of kilobytes, so it is made once, and again only when the file
that it was made from has changed. Nothing is set on a context that is in use, and on a caller's own nothing at all: the
HTTP libraries, which would set protocols (ALPN) and more at each connection, never get one.
"""

import os
import re
import ssl
import threading
import warnings
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from llmnet.core.errors import APIConnectionError, ConfigurationError
from llmnet.core.forks import register_after_fork, undivided
from llmnet.core.outcome import AttemptError, Outcome

Use: TypeAlias = Literal["sync", "async", "async h2"]
"""The front that a context is for, and whether HTTP/2 is offered; connections to a proxy use HTTP/1.1 alone."""

_OFFERED: dict[Use, list[str]] = {"sync": ["http/1.1"], "async": ["http/1.1"], "async h2": ["h2", "http/1.1"]}

_Stamp: TypeAlias = tuple[int | None, ...]

# OpenSSL finds a certificate in a folder by the hash of its subject, and sees no other file there.
_HASHED = r"[0-9a-f]{8}\.[0-9]+"
_MOST = 64  # contexts that are kept: a program may have a new file for each of its clients


class Place(msgspec.Struct, frozen=True):
    """A file of PEM certificates, or a folder of them, and its source: `verify` or a variable."""

    path: str
    source: str


class Trust(msgspec.Struct, frozen=True):
    """A resolved setting: what alone is trusted; without file and folder, the roots of the system and of certifi.

    Attributes:
        file: the trusted certificates.
        folder: a folder of them, or several with the separator of `PATH` between them.
        checked: whether certificates are verified at all.
    """

    file: Place | None = None
    folder: Place | None = None
    checked: bool = True


_EVERYTHING = Trust(checked=False)


def ssl_context(verify: bool | str | ssl.SSLContext | None, environ: Mapping[str, str], use: Use) -> ssl.SSLContext:
    """The context for TLS connections, on which nobody may set anything.

    Args:
        verify: a context, which is returned as it is; the only file or folder to trust; `False` for no verification,
            with one warning in a process; `True` or `None` for `SSL_CERT_FILE` and `SSL_CERT_DIR` together, else
            `REQUESTS_CA_BUNDLE`, else the roots of the system and of certifi.
        environ: the environment.
        use: what the connections are for.

    Raises:
        ConfigurationError: a file or folder is missing or holds no certificate; the message names its source.
    """
    if verify is None or isinstance(verify, bool | str):
        return _CONTEXTS.get(_trust(verify, environ), use)
    return verify


def _trust(verify: bool | str | None, environ: Mapping[str, str]) -> Trust:
    """Resolve a setting; no file is read."""
    if verify is False:
        return _EVERYTHING
    if isinstance(verify, str):
        return _file_or_folder(Place(verify, "verify"))
    file, folder = _named("SSL_CERT_FILE", environ), _named("SSL_CERT_DIR", environ)
    if file or folder:
        return Trust(file, folder)
    bundle = _named("REQUESTS_CA_BUNDLE", environ)
    return _file_or_folder(bundle) if bundle else Trust()


def _named(variable: str, environ: Mapping[str, str]) -> Place | None:
    path = environ.get(variable, "").strip()
    return Place(path, variable) if path else None


def _file_or_folder(place: Place) -> Trust:
    return Trust(folder=place) if os.path.isdir(place.path) else Trust(file=place)


class _Contexts:
    """The contexts made so far, each with the stamp of what it was made from; `_lock` guards them."""

    def __init__(self) -> None:
        self._made: dict[tuple[Trust, Use], tuple[_Stamp, ssl.SSLContext]] = {}
        self._warned = False
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.RLock()

    def get(self, trust: Trust, use: Use) -> ssl.SSLContext:
        """The context of a setting for a use; other threads wait while it is made."""
        stamp = _stamp(trust)
        with self._lock:
            made = self._made.get((trust, use))
            if made is None or made[0] != stamp:
                self._warn(trust)
                with undivided.lock:
                    made = self._made[trust, use] = stamp, _built(trust)
                made[1].set_alpn_protocols(_OFFERED[use])
                for old in [*self._made][:-_MOST]:
                    del self._made[old]
            return made[1]

    def _warn(self, trust: Trust) -> None:
        if not trust.checked and not self._warned:
            self._warned = True
            message = "verify=False: certificates are not verified, anyone on the way can read and change what is sent"
            warnings.warn(message, RuntimeWarning, stacklevel=2)


_CONTEXTS = register_after_fork(_Contexts())


def _stamp(trust: Trust) -> _Stamp:
    """When file and folders last changed.

    Raises:
        ConfigurationError: the file, or every one of the folders, is missing.
    """
    file = _changed(trust.file, [trust.file.path]) if trust.file else []
    folders = _changed(trust.folder, _folders(trust.folder)) if trust.folder else []
    return (*file, *folders)


def _folders(place: Place) -> list[str]:
    return place.path.split(os.pathsep)


def _changed(place: Place, paths: list[str]) -> list[int | None]:
    changed = [_modified(path) for path in paths]
    if all(moment is None for moment in changed):
        raise _unusable(place, "there is no such file or folder")
    return changed


def _modified(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return None


def _built(trust: Trust) -> ssl.SSLContext:
    """Make the context of a setting."""
    if not trust.checked:
        return _unverified()
    place = trust.file or trust.folder
    if place is None:
        return _public_roots()
    try:
        if trust.file is None:
            _check_hashed(place)
        return ssl.create_default_context(cafile=_path(trust.file), capath=_path(trust.folder))
    except OSError as error:
        raise _unusable(place, f"{type(error).__name__}: {error}") from None


def _path(place: Place | None) -> str | None:
    return None if place is None else place.path


def _check_hashed(place: Place) -> None:
    """Refuse folders in which OpenSSL would find nothing, without an error."""
    names = [name for path in _folders(place) if os.path.isdir(path) for name in os.listdir(path)]
    if not any(re.fullmatch(_HASHED, name) for name in names):
        raise _unusable(place, "no certificate there has a name by which OpenSSL could find it")


def _public_roots() -> ssl.SSLContext:
    """The roots of the system, where a company puts its own, and of certifi, where a system has few or old ones."""
    import certifi  # noqa: PLC0415 - on use

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _unusable(place: Place, why: str) -> ConfigurationError:
    fix = "give a file of PEM certificates, or a folder of them on which `openssl rehash` was run"
    return ConfigurationError(f"{place.source} = {place.path!r} cannot be trusted: {why}; {fix}")


def check_protocol(chosen: str | None, use: Use) -> None:
    """Check the protocol that a handshake has chosen; what a caller's own context offers cannot be read before.

    Raises:
        AttemptError: it is HTTP/2 where HTTP/1.1 is spoken; nothing was sent yet.
    """
    if chosen is not None and chosen not in _OFFERED[use]:
        detail = (
            f"the TLS handshake chose {chosen}, but HTTP/1.1 is to be spoken: the SSLContext given as verify= offers "
            f"more; give one with set_alpn_protocols(['http/1.1']), or the CA's certificates as a PEM file"
        )
        raise AttemptError(Outcome(APIConnectionError(detail, phase="tls", retryable=False)))


_UNKNOWN_CA = (
    "if the server is behind a private or corporate CA, give the CA's certificates, as a PEM file, as verify= or in "
    "the environment variable SSL_CERT_FILE"
)
_WRONG_NAME = "the certificate is another host's: check base_url, and whether a proxy or portal answers in its place"
_TOO_STRICT = (
    "the certificate, or its CA's, breaks a rule of RFC 5280 that Python 3.13 and later check: have it issued anew, or "
    "give as verify= an SSLContext without ssl.VERIFY_X509_STRICT"
)
# By the codes of OpenSSL's x509_vfy.h.
_HINTS = {
    **dict.fromkeys((2, 18, 19, 20, 21), _UNKNOWN_CA),
    **dict.fromkeys((62, 64), _WRONG_NAME),
    **dict.fromkeys(
        (66, 67, 68), "the key or signature is weaker than OpenSSL allows: the server needs a new certificate"
    ),
    **dict.fromkeys(range(79, 94), _TOO_STRICT),
    9: "it is not valid yet: check the clock of this machine",
    10: "it has expired: check the clock of this machine; if that is right, the server must renew its certificate",
}


def certificate_hint(error: ssl.SSLCertVerificationError) -> str:
    """What to do about a certificate that was refused, in short."""
    # Only errors of OpenSSL have a code.
    return _HINTS.get(getattr(error, "verify_code", 0), _UNKNOWN_CA)
