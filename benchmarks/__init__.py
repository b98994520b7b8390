"""Measurements of llmnet against real sockets; each module is run by `python -m`, and prints a table or JSON.

`benchmarks.bounds` says how late each bound fires. Whatever answers runs in a process of its own (`benchmarks.peer`),
so that it shares no interpreter lock with what is measured.
"""
