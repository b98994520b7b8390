"""The table of defaults is that of the code: every field and argument is on the page, with its value."""

import dataclasses
import inspect

import pytest
from support.pages import PAGES, rows, ticked

import llmnet
from llmnet.core.sse import SSEDecoder
from llmnet.net import sockets
from llmnet.providers import anthropic
from llmnet.telemetry import stats

PAGE = PAGES["defaults.md"]


NAMES = {"Timeout": llmnet.Timeout, "RetryPolicy": llmnet.RetryPolicy, "RetryBudget": llmnet.RetryBudget}


def listed(heading):
    return {ticked(name)[0]: eval(ticked(value)[0], NAMES) for name, value, _ in rows(PAGE, heading)}


def fields(cls):
    return {field.name: getattr(cls(), field.name) for field in dataclasses.fields(cls)}


def arguments(function):
    found = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in found if one.default is not one.empty}


@pytest.mark.parametrize("name", ["ClientConfig", *NAMES])
def test_fields_have_the_defaults_of_the_page(name):
    assert listed(name) == fields(getattr(llmnet, name))


@pytest.mark.parametrize("name", ["with_retry", "retry_with_backoff"])
def test_arguments_have_the_defaults_of_the_page(name):
    assert listed(name) == arguments(getattr(llmnet, name))


@pytest.mark.parametrize("client", [llmnet.Client, llmnet.AsyncClient])
def test_arguments_of_a_batch_have_the_defaults_of_the_page(client):
    own = arguments(client.batch).items() - arguments(client.chat).items()
    assert listed("Client.batch") == dict(own)


@pytest.mark.parametrize("factory", [llmnet.create_session, llmnet.create_async_client])
def test_arguments_of_the_factories_have_the_defaults_of_the_page(factory):
    assert listed("create_session, create_async_client") == arguments(factory)


def test_fixed_figures_are_those_of_the_code():
    assert [int(ticked(value)[0]) for _, value, _ in rows(PAGE, "Fixed figures")] == [
        anthropic.MAX_TOKENS,
        sockets.PATIENCE,
        sockets.MAX_AGE,
        sockets.HOSTS,
        arguments(SSEDecoder)["max_event_bytes"],
        stats.MAX_ROWS,
    ]
