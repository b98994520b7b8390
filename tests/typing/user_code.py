"""What users write, all of it: type checkers must pass it as it is, and it runs against the embedded server."""

import asyncio
import dataclasses
import math
import ssl
from collections.abc import Iterator
from typing import Any, Generic, TypedDict, TypeVar

import httpx
import msgspec
import pydantic
import requests

import llmnet
from llmnet import (
    AsyncClient,
    BatchFailure,
    BatchResult,
    BatchSuccess,
    ChatResponse,
    Client,
    ClientConfig,
    Message,
    Provider,
    RetryBudget,
    RetryPolicy,
    StreamCallbacks,
    StreamChunk,
    Timeout,
    with_retry,
)

MODEL = "fake:echo-1"
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def key() -> str:
    return "sk-from-the-vault"


async def key_later() -> str:
    return key()


def configs() -> Iterator[ClientConfig]:
    yield ClientConfig()
    yield ClientConfig(provider="deepseek", model="deepseek-chat", api_key=key, timeout=30)
    yield ClientConfig(
        provider=Provider.AZURE,
        api="deployments",
        base_url="https://resource.openai.azure.com",
        api_key=key_later,
        api_version="2024-10-21",
        timeout=Timeout(connect=5, total=math.inf),
        max_retries=5,
        retry=RetryPolicy(base_delay=0.1, retry_statuses={429, 503}, budget=RetryBudget(capacity=100)),
        max_concurrent=10,
        headers={"x-tenant": "a", "user-agent": None},
        proxy="http://user:password@proxy:3128",
        verify=ssl.create_default_context(),
        http2=False,
        transport="httpx",
        defaults={"temperature": 0, "max_tokens": 100},
        system="Be brief.",
    )


def addresses() -> list[str]:
    return [config.effective_base_url for config in configs()]


def script() -> str:
    with Client(MODEL) as client:
        reply = client.chat("Hello!")
        total: int | None = reply.usage.total_tokens
        with client.stream_chat("Tell me a story", temperature=0.5) as stream:
            text = "".join(chunk.content for chunk in stream)
        assert stream.response.content == text
        assert total is not None
        return reply.content


def conversation() -> list[dict[str, Any]]:
    with Client(MODEL, max_retries=1) as client:
        messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
        for question in ("Who are you?", "Why?"):
            messages.append({"role": "user", "content": question})
            reply = client.chat(messages, max_tokens=100)
            messages.append(reply.message)
        return messages


def inferred_messages() -> str:
    messages = [{"role": "user", "content": "Hello!"}]
    typed: list[Message] = [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]
    with Client(MODEL) as client:
        messages.append(client.chat(messages).message)
        return client.chat(tuple(messages)).content + client.chat(typed).content


def weather(city: str, days: int = 3) -> str:
    """The weather of a city."""
    return f"{days} days of sun in {city}"


async def book(room: str) -> None:
    """Book a room."""


def functions() -> list[str]:
    with Client(MODEL, defaults={"tools": [weather]}) as client:
        reply = client.chat("Weather?", tools=[weather, book, WEATHER | {"function": {"name": "clock"}}])
        answers: list[str] = []
        for call in reply.tool_calls:
            if call.function is not None:
                answers.append(str(call.function(**call.json())))
        client.batch(["Weather?"], tools=(weather,))
        return answers


def tools() -> dict[str, Any]:
    with Client(MODEL) as client:
        reply = client.chat("Weather?", tools=[WEATHER], tool_choice="auto", parallel_tool_calls=False)
        return {call.name: call.json() for call in reply.tool_calls}


def parameters() -> list[str]:
    with Client(MODEL) as client:
        common = client.chat(
            "Hello!", temperature=0.5, max_tokens=100, top_p=0.9, stop=["END"], seed=7, n=1, user="u-1", metadata={"run": "7"},
            response_format={"type": "json_object"}, reasoning_effort="low", tools=[WEATHER], parallel_tool_calls=False,
        )  # fmt: skip
        left_out: float | None = None
        with client.stream_chat(
            "Hello!", stop="END", top_p=left_out, seed=None, top_k=5, extra_body={"a": 1}
        ) as stream:
            said = [chunk.content for chunk in stream]
        rows = client.batch(["Hello!"], temperature=0, seed=7, stop=("a", "b"), response_format=None, top_k=5)
        return [common.content, *said, *(str(result.response) for result in rows)]


def callbacks() -> list[str]:
    heard: list[str] = []

    def on_chunk(chunk: StreamChunk) -> None:
        heard.append(chunk.content)

    def on_complete(reply: ChatResponse) -> None:
        heard.append(str(reply.finish_reason))

    def on_error(error: Exception) -> None:
        heard.append(str(error))

    with Client(MODEL) as client:
        client.chat("Hello!", callbacks=StreamCallbacks(on_chunk, on_complete, on_error))
        client.chat("Hello!", callbacks=StreamCallbacks(on_chunk=lambda chunk: len(chunk.content)))
    return heard


class City(pydantic.BaseModel):
    name: str
    people: int


@dataclasses.dataclass
class Town:
    name: str


class Place(TypedDict):
    name: str


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T]):
    first: T


def structured() -> list[str]:
    with Client(MODEL) as client:
        city: City = client.chat("Rome 7", output_type=City).parsed
        place: Place = client.chat("Rome", output_type=Place).parsed
        page: Page[Town] = client.chat("Rome", output_type=Page[Town]).parsed
        with client.stream_chat("Rome", output_type=Town) as stream:
            for _ in stream:
                pass
        town: Town = stream.response.parsed
        nothing: None = client.chat("Rome").parsed
        assert nothing is None
        return [city.name.lower(), place["name"], page.first.name, town.name, shown(client.chat("Rome"))]


def shown(reply: ChatResponse) -> str:
    return reply.content


def refused() -> str:
    with Client(MODEL) as client:
        try:
            return client.chat("Rome", output_type=City).parsed.name
        except llmnet.OutputError as error:
            return error.reason + (error.partial.content if error.partial else "")


def batched() -> list[str]:
    names: list[str] = []
    with Client(MODEL) as client:
        for result in client.batch(["Rome 7"], output_type=City):
            if result.ok is True:
                names.append(result.response.parsed.name)
            else:
                names.append(str(result.error.args))
            if isinstance(result, BatchSuccess):
                names.append(result.response.parsed.name)
            if result.error is None:
                names.append(result.response.parsed.name)
            people: int = result.unwrap().parsed.people
            names.append(str(people))
        for plain in client.batch(["Rome"]):
            names.append(told(plain))
    return names


def told(result: BatchResult) -> str:
    if isinstance(result, BatchFailure):
        return str(result.error)
    return result.unwrap().content


def vectors() -> list[list[float]]:
    with Client(MODEL) as client:
        one = client.embed("text", dimensions=8)
        many = client.embed(["a", "b"], timeout=10, extra_headers={"x-a": "1"})
        tokens = client.embed([[1, 2], [3]])
        return one.vectors + many.vectors + tokens.vectors


def models() -> dict[str, str | None]:
    with Client(MODEL) as client:
        return {model.id: model.retires_at for model in client.list_models()}


def endpoints() -> tuple[int, bytes]:
    with Client(MODEL) as client:
        reply = client.request("GET", "/models", params={"limit": 5}, timeout=5, extra_headers={"x-a": "1"})
        with client.request("GET", "/models", stream=True) as stream:
            body = b"".join(stream)
        assert (reply.headers["content-type"], reply.meta.status) == (stream.headers["content-type"], stream.status)
        assert len(reply.text) <= len(reply.content)
        return reply.status, body + reply.content


def children() -> int:
    with Client(ClientConfig(provider="fake", model="echo-1"), timeout=60) as client:
        patient: Client = client.with_options(timeout=Timeout(total=900), max_retries=0, model="echo-2")
        patient.chat("Hello!", model="echo-3", timeout=5)
        patient.with_options(system=None, defaults={"top_k": 5}).chat("Hello!")
        return client.request_count


def errors() -> str:
    with Client("openai:none", base_url="http://127.0.0.1:9/v1", max_retries=0) as client:
        try:
            return client.chat("Hello!").content
        except llmnet.RateLimitError as error:
            return f"{error.status} {error.code} {error.retry_after}"
        except llmnet.APIStatusError as error:
            return f"{error.http_status} {error.type} {error.request_id} {error.body}"
        except llmnet.APITimeoutError as error:
            return f"{error.phase}"
        except llmnet.LLMNetError as error:
            arrived = error.partial.content if error.partial else ""
            attempts = len(error.meta.attempts) if error.meta else 0
            return f"{arrived}{attempts} {error.retryable} {error.maybe_billed}"


@with_retry()
def flaky(city: str, *, days: int = 1) -> dict[str, int]:
    return {city: days}


@with_retry(max_attempts=2, base_delay=0.1, max_delay=1.0, retry_on=(KeyError, OSError))
async def flaky_later(city: str) -> bytes:
    return city.encode()


class Service:
    @with_retry(retry_on=ValueError)
    def ask(self, question: str) -> int:
        return len(question)


def retried() -> tuple[dict[str, int], int, int]:
    return flaky("Berlin", days=3), Service().ask("why"), llmnet.retry_with_backoff(lambda: 4, max_attempts=2)


def sessions() -> requests.Session:
    session = llmnet.create_session(max_retries=2, timeout=10.0)
    session.headers["x-a"] = "1"
    return session


async def service() -> list[str]:
    async with AsyncClient(MODEL, max_concurrent=50, api_key=key_later) as client:
        replies = await asyncio.gather(
            *(client.chat(f"Question {i}", max_tokens=20, seed=i, top_p=1) for i in range(3))
        )
        said = [reply.content for reply in replies]
        async for chunk in client.stream_chat("Tell me a story"):
            said.append(chunk.content)
        async with client.stream_chat([{"role": "user", "content": "Hello!"}]) as stream:
            async for chunk in stream:
                said.append(chunk.reasoning or chunk.content)
        said.append(stream.response.content)
        said.append(str(stream.meta.status))
        return said


async def async_callbacks() -> list[str]:
    heard: list[str] = []

    async def on_chunk(chunk: StreamChunk) -> None:
        heard.append(chunk.content)

    async with AsyncClient(MODEL) as client:
        await client.chat("Hello!", callbacks=StreamCallbacks(on_chunk=on_chunk))
    return heard


async def async_structured() -> list[str]:
    async with AsyncClient(MODEL) as client:
        names = [(await client.chat("Rome 7", output_type=City)).parsed.name]
        async with client.stream_chat("Rome 7", output_type=City) as stream:
            async for _ in stream:
                pass
        city: City = stream.response.parsed
        async for result in client.batch(["Rome 7"], output_type=City):
            if result.ok is True:
                names.append(result.response.parsed.name)
        return [*names, city.name]


async def async_rest() -> tuple[int, bytes, int]:
    async with AsyncClient(MODEL) as client:
        child: AsyncClient = client.with_options(max_retries=0)
        vectors = (await child.embed(["a"])).vectors
        listed = [model.id for model in await client.list_models()]
        stream = client.stream_chat("Hello!")
        await stream.aclose()
        partial: ChatResponse | None = stream.partial
        assert partial is None or partial.tool_calls == []
        status: int = (await child.request("GET", "/models")).status
        async with child.request("GET", "/models", stream=True) as body:
            listed += [piece.decode() async for piece in body]
        assert status == (await child.request("GET", "/models", stream=True)).status
    return len(vectors) + len(listed), await flaky_later("Rome"), await llmnet.retry_with_backoff(number_later)


async def number_later() -> int:
    return 4


async def async_session() -> int:
    async with llmnet.create_async_client(max_retries=2, timeout=10.0) as session:
        typed: httpx.AsyncClient = session
        return len(typed.headers)


async def later() -> list[Any]:
    return [
        await service(),
        await async_callbacks(),
        await async_structured(),
        await async_rest(),
        await async_session(),
    ]


def main() -> list[Any]:
    """Do all of it."""
    plain = [
        script(),
        conversation(),
        inferred_messages(),
        tools(),
        functions(),
        parameters(),
        callbacks(),
        vectors(),
        models(),
        children(),
        endpoints(),
    ]
    typed = [structured(), refused(), batched()]
    with sessions():
        return [*plain, *typed, addresses(), errors(), retried(), *asyncio.run(later())]


if __name__ == "__main__":
    print(main())
