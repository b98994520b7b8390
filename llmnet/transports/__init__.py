"""Carry the bytes, time and exceptions of an exchange, and judge none of them; `core.transport` has the contract.

What an HTTP library is stays in these rooms, sync and awaited alike.
"""
