"""Finds the route of each call of a client: most have no credential of their own, and go the way of the one before."""

from collections.abc import Mapping, Sequence
from typing import Any

from llmnet.client.shared import Shared
from llmnet.config.resolve import CREDENTIALS
from llmnet.core.credentials import in_headers
from llmnet.core.http import Request, merged
from llmnet.core.identity import ByIdentity
from llmnet.core.retry import RetryBudget
from llmnet.core.route import Route
from llmnet.core.secrets import Secrets
from llmnet.providers.form import Form


class Routes:
    """The routes of one client.

    Threads share it without a lock: all that changes is `_usual`, which is replaced as a whole. Two threads may make a
    route each; both have the same gate and bucket, which are `Shared`'s.

    Args:
        shared: has gates and buckets.
        key: the client's credential: text, `None`, or a callable.
        budget: what retries may cost.
        secrets: the client's.
    """

    def __init__(self, shared: Shared, key: Any, budget: RetryBudget | None, secrets: Secrets) -> None:
        self._shared, self._key, self._budget, self._secrets = shared, key, budget, secrets
        self._usual: tuple[tuple[str, ...], Route] | None = None

    def find(
        self,
        form: Form,
        request: Request,
        gate: tuple[str, ...],
        headers: Mapping[str, str | None],
        secrets: Sequence[str],
        now: float,
    ) -> Route:
        """The route of a call.

        Args:
            form: the wire form at its address.
            request: what is sent, without the client's credential.
            gate: which of the gates behind one credential: model, tier and the like.
            headers: the call's own, which may hold a credential.
            secrets: the other credentials of the call.
            now: the monotonic time.
        """
        if headers or secrets or callable(self._key):
            own = self._secrets.also([*in_headers(headers), *secrets])
            return self._make(form, merged(request.headers, headers), gate, headers, secrets, own, now)
        usual = self._usual
        if usual is not None and usual[0] == gate and usual[1].form is form:
            return usual[1]
        route = self._make(form, request.headers, gate, {}, (), self._secrets, now)
        self._usual = gate, route
        return route

    def _make(
        self,
        form: Form,
        sent: Mapping[str, str],
        gate: tuple[str, ...],
        headers: Mapping[str, str | None],
        secrets: Sequence[str],
        hidden: Secrets,
        now: float,
    ) -> Route:
        host, key, shared = form.target.host, self._key, self._shared
        # A callable is itself the credential: a token that it renews is no new one. Headers and query may hold one too.
        lane = (host, ByIdentity(key) if callable(key) else key, *map(sent.get, CREDENTIALS), *secrets)
        return Route(
            form=form,
            host=host,
            key=key,
            headers=headers,
            gate=shared.gate((*lane, *gate), now),
            bucket=shared.bucket(lane, self._budget, now),
            secrets=hidden,
        )
