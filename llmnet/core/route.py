"""Where a call goes and on whose account: what all calls to one host with one credential have in common."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from llmnet.core.admission.bucket import Bucket
from llmnet.core.admission.gate import Gate
from llmnet.core.http import Request
from llmnet.core.secrets import Secrets
from llmnet.core.wire_form import WireForm


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a call goes.

    Attributes:
        form: the wire form, at its address.
        host: as errors and events name it.
        key: the credential: text, `None`, or a callable that is asked for every attempt.
        headers: what goes over all other headers, the credential too; `None` removes one.
        gate: where calls wait after a throttle.
        bucket: what their retries draw from, or `None` for no limit.
        secrets: what nobody may see.
    """

    form: WireForm
    host: str = ""
    key: Any = dataclasses.field(default=None, repr=False)
    headers: Mapping[str, str | None] = dataclasses.field(default_factory=dict, repr=False)
    gate: Gate = dataclasses.field(default_factory=Gate)
    bucket: Bucket | None = None
    secrets: Secrets = dataclasses.field(default_factory=Secrets)

    def authorise(self, request: Request, key: str | None) -> Request:
        """The request of one attempt, with its credential."""
        signed = self.form.authorise(request, key)
        return signed.with_headers(self.headers) if self.headers else signed
