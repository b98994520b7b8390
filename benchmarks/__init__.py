"""Measurements of llmnet against real sockets; each is run by `python -m`, and prints a table or JSON.

`benchmarks` says what llmnet costs beside what else people use, `benchmarks.bounds` how late each bound fires. Whatever
answers runs in a process of its own, so that it shares no interpreter lock with what is measured.
"""
