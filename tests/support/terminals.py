"""Programs on a terminal of their own, and what the screen shows at last."""

import importlib.util
import os
import re
import select
import struct
import subprocess
import sys

import pytest

pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))


def terminal_of(columns):
    """The descriptors of a terminal: the screen's, and the program's."""
    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return own, theirs


RICH = pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="needs rich")
WAYS = ["plain", pytest.param("rich", marks=RICH)]
COMMAND = "from llmnet.cli import main; sys.exit(main())"
# Whoever runs the tests in the background has Ctrl-C ignored, and that is inherited.
PRELUDE = "import signal, sys, threading\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


# What a program without the extras finds.
PLAIN = "sys.modules |= dict.fromkeys(('rich', 'prompt_toolkit'))\n"
# The terminal's Ctrl-C is a signal to the programs whose terminal it is.
OWN_TERMINAL = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


class Terminal:
    """A program whose standard error is a terminal of its own, and perhaps its standard output and input."""

    def __init__(self, way, program, *args, columns=100, output=subprocess.PIPE, typed=False):
        self._own, theirs = terminal_of(columns)
        program = f"{PRELUDE}{PLAIN if way == 'plain' else ''}{OWN_TERMINAL if typed else ''}{program}"
        # It would ask the terminal where the cursor is, and wait for the answer.
        environment = {**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *args], env=environment, stdin=theirs if typed else subprocess.DEVNULL,
            stderr=theirs, stdout=theirs if output == "terminal" else output, start_new_session=typed,
        )  # fmt: skip
        os.close(theirs)
        self._output, self._expected = b"", 0

    def type(self, keys):
        """Press keys; a lone surrogate is a byte that is no UTF-8."""
        os.write(self._own, keys.encode("utf-8", "surrogateescape"))

    def insist(self, keys, text):
        """Press keys until there is this text: a signal the moment before a wait is heard with the next key."""
        self.type(keys)
        while not select.select([self._own], [], [], 1.0)[0]:
            self.type(keys)
        self.expect(text)

    def expect(self, text):
        """Read until there is this text, behind what was expected before."""
        while (found := self._output.find(text.encode(), self._expected)) < 0:
            try:
                self._output += os.read(self._own, 65536)
            except OSError:
                raise AssertionError(f"{text!r} never came: {self._output[self._expected :]}") from None
        self._expected = found + len(text.encode())

    def read(self, until=None):
        """What it says until there are these bytes in it, or to the end."""
        while until is None or until not in self._output:
            try:
                data = os.read(self._own, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            self._output += data
        return self._output

    def end(self):
        """The exit code, standard output, and the lines on the screen."""
        screen = self.read().decode("utf-8", "replace")  # it echoes what was typed
        output, _ = self.process.communicate(timeout=60)
        os.close(self._own)
        assert screen.rfind("\x1b[?25l") <= screen.rfind("\x1b[?25h"), "the cursor is hidden for good"
        bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).replace("\r\n", "\n")
        return self.process.returncode, output, [line.rpartition("\r")[2].rstrip() for line in bare.split("\n")]
