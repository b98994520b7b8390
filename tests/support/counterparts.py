"""A counterpart is a real daemon on a free port of loopback: it listens within a `with`, and is gone after it."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from textwrap import dedent

import pytest
from matrix.rows_connect import refused
from support.live import PROMPT

_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/sbin"))

# How each daemon is started, in the foreground and in a folder of its own.
_COMMANDS = {
    "nginx": "-p <folder> -e stderr -c <config>",
    "tinyproxy": "-d -c <config>",
    "squid": "-N -n counterpart<port> -f <config>",
    "hypercorn": "--bind 127.0.0.1:<port> --certfile <pem> --keyfile <pem> <config>:app",
}

# The settings that each needs to run anywhere and as any user; those of a test come after them.
_CONFIGS = {
    "nginx": """
        daemon off; master_process off; pid <folder>/pid;
        events { worker_connections 512; }
        http {
            access_log off; client_body_temp_path <folder>/1; proxy_temp_path <folder>/2;
            fastcgi_temp_path <folder>/3; uwsgi_temp_path <folder>/4; scgi_temp_path <folder>/5;
            <wanted>
        }
    """,
    "tinyproxy": """
        Port <port>
        Listen 127.0.0.1
        <wanted>
    """,
    "squid": """
        http_port 127.0.0.1:<port>
        visible_hostname counterpart
        pid_filename none
        access_log none
        cache_log /dev/null
        netdb_filename none
        pinger_enable off
        cache deny all
        max_filedescriptors 1024
        shutdown_lifetime 0 seconds
        <wanted>
    """,
    "hypercorn": "<wanted>",
}


def needs(name):
    """Skip a test where a daemon is missing."""
    return pytest.mark.skipif(_program(name) is None, reason=f"{name} is not installed")


@contextlib.contextmanager
def running(name, wanted, **values):
    """Run a daemon with the settings *wanted*, with `<port>`, `<folder>` and *values* filled in; give its port."""
    with contextlib.ExitStack() as stack:
        for attempt in range(3):
            folder, port = Path(stack.enter_context(tempfile.TemporaryDirectory())), refused()
            process = stack.enter_context(_started(name, wanted, {**values, "folder": folder, "port": port}))
            if _listens(process, port):
                break  # else somebody has taken the port meanwhile
        else:
            pytest.fail(f"{name} does not start: {(folder / 'log').read_text()}")
        yield port


@contextlib.contextmanager
def _started(name, wanted, values):
    folder = values["folder"]
    config = folder / "config.py"  # one of them is a program
    config.write_text(_filled(dedent(_CONFIGS[name]).replace("<wanted>", dedent(wanted)), values))
    words = _filled(_COMMANDS[name], {**values, "config": config}).split()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*_program(name), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _program(name):
    """What starts a daemon, if it is here at all; one of them is a package of Python."""
    if importlib.util.find_spec(name):
        return [sys.executable, "-m", name]
    found = shutil.which(name, path=_PLACES)
    return found and [found]


def _filled(text, values):
    return re.sub(r"<(\w+)>", lambda found: str(values[found[1]]), text)


def _listens(process, port):
    """Wait until a daemon listens, or has ended."""
    end = time.monotonic() + PROMPT
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        time.sleep(0.005)
    return False
