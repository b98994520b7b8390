"""Where a call goes and on whose account: what all calls to one host with one credential have in common."""

from collections.abc import Mapping
from typing import Any

import msgspec

from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import Bucket
from llmnet.core.form_contract import WireForm
from llmnet.core.http import Request
from llmnet.core.secrets import Secrets


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes; its repr shows no credential.

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
    key: Any = None
    headers: Mapping[str, str | None] = {}
    gate: Gate = msgspec.field(default_factory=Gate)
    bucket: Bucket | None = None
    secrets: Secrets = msgspec.field(default_factory=Secrets)

    def __repr__(self) -> str:
        return f"Route(form={self.form!r}, host={self.host!r})"

    def authorise(self, request: Request, key: str | None) -> Request:
        """The request of one attempt, with its credential."""
        signed = self.form.authorise(request, key)
        return signed.with_headers(self.headers) if self.headers else signed
