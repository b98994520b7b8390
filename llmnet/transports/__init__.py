"""Carry a call's bytes, time and exceptions, and judge none of them; what an HTTP library is stays in these rooms.

A transport has three sides, sync and awaited alike:

* `send(call)` waits for the call's turn (last delay, gate, slot), asks for the key, calls `call.begin(key)` and sends.
  It gives an open success, head read and body unread, or raises `Fault` with what went wrong, unjudged, or the final
  error of a fault that was judged on the way.
* the open reply is an iterator of the raw bytes of the body, and a context manager that gives connection and slot back;
  `drop()` does so without waiting, for one that nobody closed.
* `close()` ends it all.
"""
