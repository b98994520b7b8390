"""A client and its first call load what they need, and nothing of what others need: a script starts as fast as it can."""

import pytest
from support.subprocesses import run_python

# Beside the other front: what HTTP/2, mocks, SOCKS, an error, a table or a tool of ours would need.
UNUSED = {
    "httpcore", "h11", "h2", "anyio", "socksio", "tenacity",
    "llmnet.batch", "llmnet.cli", "llmnet.retrying", "llmnet.testing", "llmnet.transports.generic",
    "llmnet.client.other_calls",
    "llmnet.providers.anthropic", "llmnet.providers.dashscope", "llmnet.providers.responses",
    "llmnet.providers.error_phrases", "llmnet.transports.aio.pool", "llmnet.transports.aio.stream",
    "llmnet.core.json_schema", "llmnet.core.output", "llmnet.providers.structured_output", "pydantic",
}  # fmt: skip
PROGRAMS = {
    "sync": """
        from llmnet import Client
        with Client("openai:m", base_url=url, api_key="k") as client:
            reply = client.chat("Hello", temperature=0.5, max_tokens=5)
    """,
    "async": """
        import asyncio
        from llmnet import AsyncClient
        async def main():
            async with AsyncClient("openai:m", base_url=url, api_key="k") as client:
                return await client.chat("Hello", temperature=0.5, max_tokens=5)
        reply = asyncio.run(main())
    """,
}
OTHER_FRONT = {
    "sync": {"asyncio", "httpx", "llmnet.client.aio", "llmnet.client.aio_driver", "llmnet.transports.aio"},
    # That a plain address needs no roots is certifi's part: the sync front has it from requests.
    "async": {"requests", "urllib3", "charset_normalizer", "certifi", "llmnet.client.sync", "llmnet.transports.sync"},
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_it_loads_only_what_it_needs(server, kind):
    program = f"""
        import sys
        url, unused = sys.argv[1], set(sys.argv[2:])
        {PROGRAMS[kind].strip()}
        assert reply.content, reply
        assert unused.isdisjoint(sys.modules), unused & set(sys.modules)
        print("fine")
    """
    run_python(dedented(program), args=(f"{server.url}/v1", *UNUSED, *OTHER_FRONT[kind]))


def dedented(program):
    return "\n".join(line.removeprefix(" " * 8) for line in program.splitlines())
