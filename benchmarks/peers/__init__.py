"""Each library as its documentation would have it used: one client for all calls, everything else at its default.

A module has `Sync` and `Async`, or one of them, made with the address of the server and how many calls will be in
flight. `chat` and `stream` take a prompt and give the text, that of a stream joined from its deltas. A library is
imported at the top of its module, but no class taken from it there: to load one may be work that its user has not.
"""
