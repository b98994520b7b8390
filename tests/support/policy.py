"""One call under the policy, without a transport: what happens to it is said, time passes when the test says so."""

import dataclasses
import random
from collections.abc import Mapping

import llmnet
from llmnet.core.admission.admission import Admission
from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import Bucket
from llmnet.core.bounds import Bounds, Timeout
from llmnet.core.call import Call
from llmnet.core.errors import LLMNetError
from llmnet.core.exchange import Route
from llmnet.core.http import Headers, Request
from llmnet.core.judge import Judge
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.record import Record
from llmnet.core.retry import RetryPolicy
from llmnet.providers.services import SERVICES
from llmnet.providers.target import Target, make_form

WALL = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def a_form(name="openai"):
    service = SERVICES[name]
    api = next(iter(service.apis))
    return make_form(service.apis[api].form, Target(service=service, api=api, base_url="http://h"))


@dataclasses.dataclass
class Scene:
    """A call with all that it shares with others: a second scene may be given the gate and the bucket of a first."""

    policy: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)
    timeout: Timeout = dataclasses.field(default_factory=Timeout)
    gate: Gate = dataclasses.field(default_factory=Gate)
    bucket: Bucket | None = None
    rng: random.Random = dataclasses.field(default_factory=lambda: random.Random(0))
    service: str = "openai"
    key: object = None
    stream: bool = False
    now: float = 1000.0
    wall: object = lambda: WALL

    def __post_init__(self):
        bounds, policy = Bounds(self.timeout, lambda: self.now), self.policy
        route = Route(form=a_form(self.service), host="h", key=self.key, gate=self.gate, bucket=self.bucket)
        self.call = Call(
            route,
            Request(method="POST", url="http://h/v1/chat/completions"),
            bounds=bounds,
            judge=Judge(policy, bounds, self.gate, self.bucket, self.rng, renewable=callable(self.key)),
            admission=Admission(None, self.gate, bounds, policy.max_retry_after, self.rng),
            record=Record(bounds, None, ("openai", "h", "m", self.stream)),
            wall=self.wall,
        )

    def take_turn(self):
        """Wait as the fronts do; what was waited, piece by piece."""
        waits = []
        try:
            while (wait := self.call.admission.wait_time()) > 0:
                waits.append(wait)
                self.now += wait
        except AttemptError as failure:
            self.call.judge(failure)
        self.call.bounds.past_queue()
        return waits

    def attempt(self, failure):
        """Begin an attempt, and judge how it failed."""
        # A key that is asked for is a new one each time: a refused one that came again would end the call.
        exchange = self.call.begin(f"sk-{len(self.call.meta.attempts)}" if callable(self.key) else self.key)
        exchange.connecting()
        exchange.sending()
        self.now += failure.took
        return self.call.decide(failure.of(exchange))

    def succeed(self):
        self.call.begin().head(200, Headers())
        self.call.succeed()


@dataclasses.dataclass(frozen=True)
class Failure:
    """How an attempt fails: with a reply of the server's, or with an error of the transport's."""

    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    error: type[LLMNetError] = llmnet.APIConnectionError
    phase: str | None = None
    stale: bool = False
    once: bool = False
    took: float = 0.0

    def of(self, exchange):
        if self.status is None:
            facts = {"phase": self.phase} if self.phase else {}
            return Outcome(self.error("it failed", **facts), stale=self.stale, once=self.once)
        exchange.head(self.status, Headers(self.headers))
        return Outcome(exchange.reply.fail(self.body))
