"""An error that a wrong setting has probably caused says which; any other says no more than the server did."""

import socket

import pytest
from support.live import at_port

import llmnet
from llmnet.core.hosts import is_this_machine
from llmnet.providers.hints import hint
from llmnet.providers.services import SERVICES
from llmnet.providers.target import Target
from llmnet.testing import Reply

PAGE = "<!doctype html><html><body>Welcome</body></html>"
HTML = {"content-type": "text/html; charset=utf-8"}
NOT_FOUND = {"detail": "Not Found"}  # as FastAPI says it, and so vLLM


def target(provider, base_url, api=None):
    service = SERVICES[provider]
    return Target(service=service, api=api or next(iter(service.apis)), base_url=base_url)


def missing(**facts):
    return llmnet.NotFoundError("HTTP 404: Not Found", **{"status": 404, "http_status": 404, **facts})


@pytest.mark.parametrize(
    ("provider", "base_url", "better"),
    [
        ("openai", "http://h:8000", "http://h:8000/v1"),
        ("openai", "http://h:8000/", "http://h:8000/v1"),
        ("openai", "https://api.openai.com", "https://api.openai.com/v1"),
        ("openai", "https://gateway.h/llm", "https://gateway.h/llm/v1"),
        ("openai", "https://h/v1/chat", "https://h/v1"),
        ("openai", "https://h/v1/models", "https://h/v1"),
        ("openai", "https://h/v1/v1", "https://h/v1"),
        ("openai", "https://h?api-key=secret", "https://h/v1"),
        ("groq", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("groq", "https://api.groq.com/openai", "https://api.groq.com/openai/v1"),
        ("groq", "https://h/mine", "https://h/mine/v1"),
        ("openrouter", "https://openrouter.ai", "https://openrouter.ai/api/v1"),
        ("volcengine", "https://ark.cn-beijing.volces.com", "https://ark.cn-beijing.volces.com/api/v3"),
        ("dashscope", "https://dashscope.aliyuncs.com/compatible-mode", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        ("deepseek", "https://h", "https://h/v1"),
        ("ollama", "http://localhost:11434", "http://localhost:11434/v1"),
        ("ollama", "http://localhost:11434/api", "http://localhost:11434/api/v1"),
    ],
)  # fmt: skip
def test_a_base_url_without_its_version(provider, base_url, better):
    said = hint(missing(), target(provider, base_url))
    assert said.endswith(f"did you mean {better}?")
    assert "secret" not in said


@pytest.mark.parametrize(
    ("error", "provider", "base_url"),
    [
        (missing(), "openai", "https://api.openai.com/v1"),
        (missing(), "dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        (missing(code="model_not_found"), "openai", "http://h"),
        (llmnet.NotFoundError("HTTP 404: The model `x` does not exist.", http_status=404), "openai", "http://h"),
        (missing(type="invalid_request_error"), "openai", "http://h/v1"),
        (llmnet.BadRequestError("HTTP 400: temperature is too high", http_status=400), "openai", "http://h"),
        (llmnet.AuthenticationError("HTTP 401: no", http_status=401), "openai", "http://h"),
        (llmnet.ServerError("HTTP 500: failed", http_status=500), "openai", "http://h"),
        (llmnet.InvalidResponseError("HTTP 200 is no JSON"), "openai", "http://h"),
        (llmnet.APIConnectionError("Connection refused", phase="connect"), "openai", "http://example.com/v1"),
        (llmnet.APIConnectionError("Connection reset by peer", phase="connect"), "ollama", "http://localhost:11434/v1"),
        (llmnet.APITimeoutError("the connect bound expired", phase="connect"), "ollama", "http://localhost:11434/v1"),
        (llmnet.StreamCancelledError("the stream was cancelled"), "openai", "http://h"),
    ],
    ids=str,
)
def test_nothing_is_said_where_it_is_no_plausible_cause(error, provider, base_url):
    assert hint(error, target(provider, base_url)) == ""


@pytest.mark.parametrize(
    ("base_url", "api"), [("https://h/v1", "responses"), ("https://gateway.h/v1/account/openai", "chat-completions")]
)
def test_a_path_that_has_a_version_is_only_asked_about(base_url, api):
    assert hint(missing(), target("openai", base_url, api)) == f"; is the base URL {base_url} right?"
    assert hint(missing(), target("anthropic", "https://h")) == "; is the base URL https://h right?"


def test_a_server_that_does_not_know_the_path_is_known_by_its_words():
    error = llmnet.ServerError("HTTP 200: Unexpected endpoint or method. (POST /chat/completions)", http_status=200)
    assert "did you mean http://localhost:1234/v1?" in hint(error, target("lmstudio", "http://localhost:1234"))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0"])
def test_this_machine(host):
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["", "h", "localhost.example.com", "10.0.0.1", "notlocalhost"])
def test_another_machine(host):
    assert not is_this_machine(host)


# -- over real sockets -------------------------------------------------------------------------------------------------


def at_root(server, provider="openai"):
    return {"provider": provider, "base_url": server.url, "model": "m", "api_key": "k", "max_retries": 0}


def ask(client, way):
    if way == "stream":
        list(client.stream_chat("hi"))
    elif way == "list_models":
        client.list_models()
    else:
        client.chat("hi")


@pytest.mark.parametrize("way", ["chat", "stream", "list_models"])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=404, body=NOT_FOUND), llmnet.NotFoundError),
        (Reply(status=404, body=PAGE, headers=HTML), llmnet.NotFoundError),
        (Reply(status=405, body=PAGE, headers=HTML), llmnet.APIStatusError),
        (Reply(body=PAGE, headers=HTML), llmnet.InvalidResponseError),
    ],
    ids=["404 JSON", "404 HTML", "405 HTML", "200 HTML"],
)
def test_of_what_a_server_says_at_the_wrong_place(front, server, way, reply, kind):
    server.script(reply)
    with front.client(**at_root(server)) as client, pytest.raises(kind) as caught:
        ask(client, way)
    wanted = f"the base URL {server.url} has no /v1: did you mean {server.url}/v1?"
    assert str(caught.value).count(wanted) == 1
    assert wanted in caught.value.message


def test_it_is_said_once_where_a_call_was_repeated(front, server):
    server.script(*[Reply(body=PAGE, headers=HTML)] * 2)
    with front.client(**{**at_root(server), "max_retries": 3}) as client, pytest.raises(llmnet.LLMNetError) as caught:
        client.chat("hi")
    assert caught.value.message.count("did you mean") == 1


@pytest.mark.parametrize(
    ("provider", "asked"),
    [
        ("ollama", "is ollama running (ollama serve)?"),
        ("vllm", "is vllm running (vllm serve MODEL)?"),
        ("lmstudio", "is lmstudio running (lms server start)?"),
        ("openai", "is the server running?"),
    ],
)
def test_of_a_port_where_nothing_listens(front, provider, asked):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        front.client(**at_port(port, max_retries=0) | {"provider": provider}) as client,
        pytest.raises(llmnet.APIConnectionError) as caught,
    ):
        client.chat("hi")
    assert f"; nothing listens at 127.0.0.1:{port}: {asked}" in str(caught.value)


def test_a_hint_that_holds_the_key_is_given_once(front):
    """`ollama` is what many have as the key of Ollama: in an error it is hidden like any other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fields = at_port(port, max_retries=0) | {"provider": "ollama", "api_key": "ollama"}
    with front.client(**fields) as client, pytest.raises(llmnet.APIConnectionError) as caught:
        client.chat("hi")
    assert str(caught.value).count("nothing listens") == 1


def test_of_a_key_that_is_missing():
    with pytest.raises(llmnet.ConfigurationError) as caught:
        llmnet.Client("deepseek:deepseek-chat")
    assert str(caught.value) == (
        "no key for deepseek: give api_key= or set DEEPSEEK_API_KEY, as by export DEEPSEEK_API_KEY='…'"
    )
