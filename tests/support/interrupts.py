"""Does something at any one step of this thread: a Ctrl-C, a signal handler, a visit of the garbage collector."""

import contextlib
import dis
import functools
import gc
import sys
import warnings

from llmnet.core.interrupts import surely


class Trace:
    """Does something at one step of this thread, a call or a line, in some modules: the n-th, or each one once."""

    def __init__(self, modules, act, n=None, *, finalizers=False):
        self.files, self.act, self.n = {module.__file__ for module in modules}, act, n
        self.finalizers = finalizers  # in these alone: what is raised there is never heard of
        self.steps, self.done, self.seen = 0, False, set()

    def __call__(self, frame, event, arg):
        inside = in_finalizer(frame.f_back if self.finalizers else frame)  # one that has not begun cannot help itself
        if frame.f_code.co_filename not in self.files or inside != self.finalizers:
            return None
        if frame.f_code is surely.__code__:  # nor can what begins it
            return None
        self.step(frame, event, arg)
        return self.step

    def step(self, frame, event, arg):
        if event in ("call", "line") and not self.done and frame.f_lasti not in leaving(frame.f_code):
            self.steps += 1
            place = frame.f_code, frame.f_lineno
            if self.steps == self.n if self.n is not None else place not in self.seen:
                self.done = True
                self.at = place
                self.seen.add(place)
                self.act()
        return self.step

    def __enter__(self):
        self.done, self.steps, self._before = False, 0, sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)


# The instructions by which a `with` block is left, up to the call of `__exit__`: by itself, and with an error.
LEAVING = (["LOAD_CONST None"] * 3 + ["CALL"], ["PUSH_EXC_INFO", "WITH_EXCEPT_START"])


@functools.cache
def leaving(code):
    """Where a `with` block has ended and its `__exit__` not begun: the interpreter handles no signal there.

    A trace function is called there all the same. If it raised, a lock would stay locked, as no Ctrl-C can leave it.
    """
    steps = [one for one in dis.get_instructions(code) if one.opname != "PRECALL"]
    names = [one.opname + " None" * (one.opname == "LOAD_CONST" and one.argval is None) for one in steps]
    ends = [n for n in range(len(names)) for end in LEAVING if names[n : n + len(end)] == end]
    ends += [n - 1 for n in ends if names[n - 1] == "SWAP"]  # the value of a `return` is put aside before that
    return {steps[n].offset for n in ends}


def in_finalizer(frame):
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def interrupt():
    raise KeyboardInterrupt


@contextlib.contextmanager
def interrupted(n, *modules):
    """A Ctrl-C at the n-th step."""
    with Trace(modules, interrupt, n) as trace, contextlib.suppress(KeyboardInterrupt):
        yield trace


@contextlib.contextmanager
def interruptible():
    """What was interrupted as it was made is in nobody's hands: only the collector can close it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
