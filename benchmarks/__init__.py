"""Measurements of llmnet against real sockets; each is run by `python -m`, and prints a table or JSON.

`benchmarks` compares the cost of llmnet with that of other libraries; `benchmarks.bounds` measures how late each bound
fires. Servers run in processes of their own, so that they share no interpreter lock with what is measured.
"""
