"""LangChain's standard suite takes `FakeServer` for OpenAI, in both of its wire forms, and for Anthropic; nobody scripts it."""

import base64
import sys
import types

import pytest

from llmnet.testing import FakeServer

suite = pytest.importorskip("langchain_tests.integration_tests")
openai = pytest.importorskip("langchain_openai")
anthropic = pytest.importorskip("langchain_anthropic")

pytestmark = [
    pytest.mark.slow,
    *(
        pytest.mark.filterwarnings(f"ignore:{what_langchain_says_of_its_own_suite}")
        for what_langchain_says_of_its_own_suite in (
            "Pydantic serializer warnings",
            "Received a Pydantic BaseModel V1 schema",
            "OpenAI may require a filename",
        )
    ),
]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# LangChain shares its clients among tests that have a loop each: no connection may be left in one.
ALONE = {"default_headers": {"connection": "close"}}


@pytest.fixture(scope="module", autouse=True)
def _address():
    with FakeServer() as server:
        Fake.url = server.url
        yield


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch):
    """Where the suite would fetch a picture, a document or a sound it gets one pixel: nothing leaves loopback."""
    download = types.SimpleNamespace(get=lambda *_, **__: types.SimpleNamespace(content=PIXEL))
    monkeypatch.setattr(suite.chat_models, "httpx", download)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "llmnet")


@pytest.fixture
def vcr():
    """A cassette that has recorded nothing: the server itself is asked."""
    return types.SimpleNamespace(responses=[])


@pytest.fixture
def benchmark():
    return None


class Fake:
    """What is so of each of them."""

    url = ""
    model_override_value = "fake-2"
    supports_image_inputs = supports_image_urls = supports_image_tool_message = True
    supports_pdf_inputs = supports_pdf_tool_message = supports_anthropic_inputs = True
    enable_vcr_tests = True


class TestOpenAI(Fake, suite.ChatModelIntegrationTests):
    chat_model_class = openai.ChatOpenAI
    supports_audio_inputs = supports_json_mode = True

    @property
    def chat_model_params(self):
        address = {"base_url": f"{self.url}/v1", "api_key": "sk-fake", **ALONE}
        return {"model": "fake-tools", "stream_usage": True, **address}


class TestOpenAIResponses(TestOpenAI):
    @property
    def chat_model_params(self):
        return {**super().chat_model_params, "use_responses_api": True}


class TestAnthropic(Fake, suite.ChatModelIntegrationTests):
    chat_model_class = anthropic.ChatAnthropic

    @property
    def chat_model_params(self):
        return {"model": "fake-tools", "base_url": self.url, "api_key": "sk-fake", **ALONE}


def test_langchain_brings_nothing_along_that_changes_other_tests():
    assert {"vcr", "pytest_recording", "pytest_socket", "pytest_benchmark"}.isdisjoint(sys.modules)
