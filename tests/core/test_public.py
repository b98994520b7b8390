"""What `llmnet` exports says that it is `llmnet`'s: in tracebacks, in pickles, and whoever has loaded it."""

import copy
import inspect
import pickle
import subprocess
import sys
import typing

import pytest

import llmnet
from llmnet.core import errors

NAMES = sorted(llmnet.__all__)
ERRORS = [name for name in NAMES if isinstance(kind := getattr(llmnet, name), type) and issubclass(kind, Exception)]


def run(program):
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("name", NAMES)
def test_all_of_it_is_llmnets(name):
    thing = getattr(llmnet, name)
    assert (thing.__module__, thing.__qualname__) == ("llmnet", name)
    assert pickle.loads(pickle.dumps(thing)) is thing
    assert inspect.getdoc(thing)


def test_no_error_is_forgotten():
    ours = {one.__name__ for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)}
    assert ours <= {*NAMES}


def test_a_subclass_of_the_callers_is_the_callers():
    class Mine(llmnet.LLMNetError):
        """An error of a program."""

    assert Mine.__module__ == __name__


@pytest.mark.parametrize("name", ERRORS)
def test_errors_survive_pickle_and_copy(name):
    error = getattr(llmnet, name)("it failed", provider="p", host="h", retry_after=3.0)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


def test_a_traceback_names_it_as_its_users_do_though_nobody_has_asked_for_it():
    program = (
        "from llmnet.client.sync import Client\n"
        "Client(provider='fake', base_url='http://127.0.0.1:1/v1', model='m', max_retries=0).chat('hi')"
    )
    assert "\nllmnet.APIConnectionError: fake (127.0.0.1:1): " in run(program)


def test_a_pickle_is_read_where_nothing_is_loaded():
    data = pickle.dumps([llmnet.RateLimitError("slow down", retry_after=1.0), llmnet.Usage(input_tokens=3)])
    program = (
        f"import pickle, sys; error, usage = pickle.loads({data!r}); print(error.retry_after, usage.input_tokens);"
        "print(sorted({'requests', 'urllib3', 'httpx'} & set(sys.modules)))"
    )
    assert run(program).split("\n")[:2] == ["1.0 3", "[]"]


def test_what_inspects_it_finds_source_and_types():
    assert "def chat(" in inspect.getsource(llmnet.Client.chat)
    assert "def with_retry(" in inspect.getsource(llmnet.with_retry)
    assert typing.get_type_hints(llmnet.Usage)["input_tokens"] == int | None
    assert typing.get_type_hints(llmnet.ClientConfig)["max_concurrent"] is int
