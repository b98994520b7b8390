"""Turns the arguments of a method into calls: what both clients share, without the waiting."""

import functools
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgspec

from llmnet.client.shared import Routes, Shared
from llmnet.config.address import FAKE_URL
from llmnet.config.fields import ClientConfig, client_config, written
from llmnet.config.resolve import resolve
from llmnet.core import tracebacks
from llmnet.core.admission.admission import Admission
from llmnet.core.bounds import Bounds, Clock, Timeout, resolve_timeout
from llmnet.core.call import Call
from llmnet.core.chat import StreamCallbacks
from llmnet.core.defaults import copied, over_defaults
from llmnet.core.errors import ConfigurationError
from llmnet.core.extras import take_extras
from llmnet.core.forks import register_after_fork
from llmnet.core.headers import checked_headers
from llmnet.core.http import Request
from llmnet.core.judge import Judge
from llmnet.core.params import given_params
from llmnet.core.record import Record
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import chat_request, checked_model, checked_timeout
from llmnet.core.secrets import Secrets
from llmnet.providers.form import Form
from llmnet.providers.model_names import disagreement
from llmnet.providers.target import make_form
from llmnet.telemetry import log
from llmnet.telemetry.dispatch import EventDispatcher
from llmnet.telemetry.stats import Stats

# What a client shares with its children: giving one of these to a child would have to split it.
_SHARED_FIELDS = ("max_concurrent", "proxy", "verify", "http2", "transport")


class BaseClient:
    """A client without the waiting: its settings, and the calls that its methods make.

    Threads share it without a lock: what it holds is set when it is made, and never changes, but for `_known_form`. Two
    threads that need that one first may both make it; both are alike, and a form holds nothing but its target, and
    what follows from it. What else changes is `Shared`'s, the routes' and the secrets', which see to themselves.
    """

    _clock: Clock = staticmethod(time.monotonic)
    _wall: Clock = staticmethod(time.time)
    _check_plain: Callable[[object, str], None]

    @tracebacks.short_errors
    def __init__(self, model_or_config: str | ClientConfig | None = None, /, **fields: Any) -> None:
        tracebacks.set_up(os.environ)
        self._set_up(client_config(model_or_config, fields))
        self._share(Shared(self.config.max_concurrent))
        self._is_child = False

    def _set_up(self, config: ClientConfig) -> None:
        self._check_plain(config.api_key, "api_key")
        self.config, self._defaults = config, copied(config.defaults)
        self._resolved = resolve(config, os.environ)
        self._policy = config.policy
        log.set_up(os.environ)
        self._known_form: Form | None = None
        usual = functools.partial(resolve_timeout, None, config.timeout, flex=False)
        self._usual_bounds = usual(stream=False), usual(stream=True)
        self._secrets = register_after_fork(Secrets(self._resolved.secrets))

    def _share(self, shared: Shared) -> None:
        self._common = shared
        self._routes = Routes(shared, self._resolved.key, self._policy.budget, self._secrets)
        self._listener = EventDispatcher(shared.counters, shared.late, self.config.on_event)

    @tracebacks.short_errors
    def _child(self, child: Self, fields: Mapping[str, Any]) -> Self:
        for name in _SHARED_FIELDS:
            if name in fields:
                raise ConfigurationError(f"{name} is shared with the parent; make a new client to change it")
        config = self.config.over(fields)
        if "provider" not in fields and config.provider != self.config.provider:  # the parent's key is not for it
            raise disagreement(config.provider, self.config.provider)
        child._set_up(config)
        child._share(self._common)
        child._is_child = True
        child._clock, child._wall = self._clock, self._wall  # gates that are shared hold moments of one clock
        return child

    @property
    def request_count(self) -> int:
        """HTTP requests sent so far, by this client and its children."""
        return self._common.request_count

    @property
    def stats(self) -> Stats:
        """What this client and its children have done so far, as a snapshot; `.prometheus()` is its text.

        At most a thousand entries name their models; what comes with yet another one is counted as model `other`.
        """
        return self._common.counters.snapshot()

    def __repr__(self) -> str:
        if not hasattr(self, "_resolved"):  # an argument was refused; a debugger shows it all the same
            return f"<{type(self).__name__} that was not made>"
        target = self._resolved.target
        name, model = type(self).__name__, self._resolved.model
        return written(name, self.config, model=model, base_url=target.base_url, api=target.api)

    def __del__(self) -> None:
        # Without a transport an argument was refused, and there is nothing to close.
        if hasattr(self, "_transport") and not self._is_child and not self._common.closed:
            warnings.warn(f"unclosed {self!r}; use `with`, or close it", ResourceWarning, source=self, stacklevel=2)

    # -- calls --------------------------------------------------------------------------------------------------------

    def _form(self) -> Form:
        """The wire form at its address; the embedded server is started by the first call that needs it."""
        if self._known_form is None:
            target = self._resolved.target
            api = target.service.apis[target.api]
            if target.base_url == FAKE_URL:
                from llmnet.testing.server import embedded_url  # noqa: PLC0415 - loaded on use

                return make_form(api.form, msgspec.structs.replace(target, base_url=embedded_url() + api.path))
            self._known_form = make_form(api.form, target)
        return self._known_form

    def _chat_call(self, messages: Any, params: Mapping[str, Any], *, stream: bool, whole: bool = False) -> Call:
        try:
            given = given_params(params)
            if self._defaults is not None:
                given = over_defaults(self._defaults, given)
            timeout, kind = given.pop("timeout", None), given.pop("output_type", None)
            headers = checked_headers(given.pop("extra_headers", None), "extra_headers")
            checked_timeout(timeout)
            extras = take_extras(given)
            model = self._model_of(given.pop("model", None))
            chat = chat_request(messages, model, given, stream=stream, output_type=kind, system=self.config.system)
            tier = chat.params.get("service_tier")
            bounds = self._bounds(timeout, stream=stream and not whole, flex=tier == "flex")
            form = self._form()
            if chat.output is not None:
                chat = form.wanting(chat, chat.output)
            gate = (chat.model, str(tier))
            try:
                request = extras.over(form.prepare(chat))
            except Exception:
                chat.check_json()  # whatever it was that JSON cannot carry: the caller knows it by its own path
                raise
            reader, secrets = ReplyReader if chat.output is None else chat.output.reader, extras.secrets
            if chat.functions is not None:
                reader = functools.partial(reader, functions=chat.functions)
            return self._make_call(
                form, request, bounds, headers=headers, gate=gate, stream=stream, reader=reader, secrets=secrets
            )
        except ConfigurationError as error:  # no decorator, which would cost each call something
            tracebacks.shorten(error)
            raise

    def _check_callbacks(self, callbacks: Any) -> None:
        if not isinstance(callbacks, StreamCallbacks):
            said = type(callbacks).__name__
            raise ConfigurationError(f"callbacks must be a StreamCallbacks(on_chunk=…, …), not {said}")
        for name in StreamCallbacks.__struct_fields__:
            callback = getattr(callbacks, name)
            if callback is not None and not callable(callback):
                raise ConfigurationError(f"callbacks.{name} must be a function, not {type(callback).__name__}")
            self._check_plain(callback, f"callbacks.{name}")

    def _model_of(self, model: Any) -> str:
        """The model of a call, by its own name; there must be one, and none of another provider's."""
        if model is not None:
            return checked_model(self._resolved.names.own(checked_model(model)))
        return self.config.model or checked_model(self._resolved.model)  # the latter may be named by the address

    def _bounds(self, timeout: float | Timeout | None, *, stream: bool, flex: bool = False) -> Timeout:
        """The bounds of a call that was given this timeout."""
        if timeout is None and not flex:
            return self._usual_bounds[stream]
        return resolve_timeout(timeout, self.config.timeout, stream=stream, flex=flex)

    def _make_call(
        self,
        form: Form,
        request: Request,
        timeout: Timeout,
        *,
        since: float | None = None,
        headers: Mapping[str, str | None],
        gate: tuple[Any, ...],
        stream: bool = False,
        reader: Callable[..., ReplyReader] = ReplyReader,
        secrets: Sequence[str] = (),
    ) -> Call:
        """One call to a host, under the policy, the gate and the budget that it shares with others.

        Its own headers lie over all others, the credential too. *since* is the start of the larger operation (a list,
        an embedding) that it is a part of.
        """
        common, policy, bounds = self._common, self._policy, Bounds(timeout, self._clock, since)
        route = self._routes.find(form, request, gate, headers, secrets, bounds.started)
        record = Record(bounds, self._listener, (form.provider, route.host, gate[0], stream), common.count)
        call = Call(
            route,
            request,
            bounds=bounds,
            judge=Judge(policy, bounds, route.gate, route.bucket, common.rng, renewable=callable(route.key)),
            admission=Admission(common.queue, route.gate, bounds, policy.max_retry_after, common.rng, record),
            record=record,
            wall=self._wall,
            reader=reader,
        )
        return common.watch(call)
