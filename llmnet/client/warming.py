"""The call of `warm`: it ends where there is a connection, so it has no slot, no key, no events, and one attempt."""

import dataclasses

from llmnet.client.base import BaseClient
from llmnet.core.admission.admission import Admission
from llmnet.core.bounds import Bounds
from llmnet.core.call import Call
from llmnet.core.http import Request
from llmnet.core.judge import Judge
from llmnet.core.record import Record
from llmnet.core.route import Route


def warm_call(client: BaseClient) -> Call:
    """A call to where a client's calls go; its request is never sent.

    Raises:
        ConfigurationError: the client is closed.
    """
    form, common = client._form(), client._common
    bounds = Bounds(client._bounds(None, stream=False), client._clock)
    policy = dataclasses.replace(client._policy, max_retries=0)
    route = Route(form=form, host=form.target.host, secrets=client._secrets)
    call = Call(
        route,
        Request(method="GET", url=form.target.base_url),
        bounds=bounds,
        judge=Judge(policy, bounds, route.gate, None, common.rng, renewable=False),
        admission=Admission(None, route.gate, bounds, policy.max_retry_after, common.rng),
        record=Record(bounds),
        wall=client._wall,
    )
    return common.watch(call)
