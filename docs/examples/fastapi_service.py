"""A service with a plain and a streamed endpoint: `pip install fastapi uvicorn`, `uvicorn fastapi_service:app`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel

import llmnet


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Each start of the service has a client of its own: one that was closed at a stop could not be used again."""
    async with llmnet.AsyncClient(
        "openai:gpt-5.4-mini", max_concurrent=50, timeout=llmnet.Timeout(total=60, idle=20, queue=5)
    ) as client:
        app.state.client = client
        yield


async def client_of(request: Request) -> llmnet.AsyncClient:
    client: llmnet.AsyncClient = request.app.state.client
    return client


Client = Annotated[llmnet.AsyncClient, Depends(client_of)]
app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    text: str


class Answer(BaseModel):
    text: str
    tokens: int | None


@app.post("/ask")
async def ask(question: Question, client: Client) -> Answer:
    reply = await client.chat(question.text)
    return Answer(text=reply.content, tokens=reply.usage.total_tokens)


@app.exception_handler(llmnet.LLMNetError)
async def failed(request: Request, error: Exception) -> JSONResponse:
    """What the users of this service are told: the vendor's throttle is our being busy."""
    status = 504 if isinstance(error, llmnet.APITimeoutError) else 502
    headers = {}
    if isinstance(error, llmnet.RateLimitError):
        status = 503
        if error.retry_after is not None:
            headers["Retry-After"] = str(round(error.retry_after))
    return JSONResponse({"error": type(error).__name__}, status, headers)


def event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def events(client: llmnet.AsyncClient, prompt: str) -> AsyncIterator[str]:
    """The reply as server-sent events; when the browser leaves, `async with` ends the call."""
    try:
        async with client.stream_chat(prompt) as stream:
            async for chunk in stream:
                if chunk.content:
                    yield event("text", chunk.content)
        yield event("done", {"tokens": stream.response.usage.total_tokens})
    except llmnet.LLMNetError as error:  # the status has gone out: an error is an event, too
        yield event("failed", {"error": type(error).__name__, "retryable": error.retryable})


@app.get("/stream")
async def stream(prompt: str, client: Client) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(client, prompt), media_type="text/event-stream", headers=headers)


@app.get("/metrics")
async def metrics(client: Client) -> PlainTextResponse:
    return PlainTextResponse(client.stats.prometheus())
