"""A worker that answers jobs from a queue, many at once, and reports what it costs; ends by itself when all is done."""

import asyncio

import llmnet

JOBS = 20


def on_event(event: llmnet.CallEvent) -> None:
    """Tell of what went wrong on the way; it is called in the event loop, and must be quick."""
    if isinstance(event, llmnet.AttemptFailed):
        then = f"again in {event.attempt.wait:.1f} s" if event.retried else "given up"
        print(f"call {event.call}: {event.attempt.cause}, {then}")


async def answer(client: llmnet.AsyncClient, job: int) -> str:
    """One job; a failure is told, and does not end the others."""
    try:
        reply = await client.chat(f"What is {job} squared?", max_tokens=50)
    except llmnet.LLMNetError as error:
        return f"failed: {error}"
    return reply.content


async def main() -> None:
    bounds = llmnet.Timeout(queue=60, total=120)
    async with llmnet.AsyncClient(
        "openai:gpt-5.4-mini", max_concurrent=5, timeout=bounds, on_event=on_event
    ) as client:  # all jobs may ask at once: five are in flight, the others wait in the order they came
        answers = await asyncio.gather(*(answer(client, job) for job in range(JOBS)))
        print(len(answers), "answers, the last one:", answers[-1])
        for entry in client.stats:
            print(entry.outcome, entry.calls, "calls,", entry.retries, "retries,", entry.output_tokens, "tokens")


if __name__ == "__main__":
    asyncio.run(main())
