"""Each library as its documentation would have it used: one client for all calls, everything else at its default.

A module has `Sync` and `Async`, or one of them, made with the address of the server and how many calls will be in
flight. `chat` takes a prompt and gives the text; `stream` takes a prompt and calls `add` with the text of each delta,
as soon as it has come. A library is imported at the top of its module, but no class taken from it there: to load one
may be work that its user has not.
"""
