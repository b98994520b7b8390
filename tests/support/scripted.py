"""Replies and faults of which any script can be made: none of them makes a bound expire."""

from llmnet.testing import FAULTS, Reply, fault

THROTTLE = Reply(status=429, headers={"retry-after": "7"})

# Faults in which a bound has to expire take real time.
TIMED = {"silent", "stall-in-body", "dripped-body", "stream-silent", "stream-pings", "stream-stall", "429-endless"}
LONG = {"gzip-bomb", "stream-endless-line"}
SCRIPTED = [
    500, 503, 408, 400, 404, THROTTLE, Reply(text="a b c d e f", cut=150), Reply(text="a b c d", truncate=True),
    Reply(status=503, headers={"retry-after": "2.5"}), Reply(text="fine"), Reply(text="fine", close=True),
    Reply(text="x y z", error_event={"code": "rate_limit_exceeded", "type": "rate_limit_error", "message": "slow"}),
    *(fault(name) for name in sorted(FAULTS) if name not in TIMED | LONG and FAULTS[name].at == "request"),
]  # fmt: skip
