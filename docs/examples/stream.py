"""Print an answer as it is made, and keep what had arrived if the connection is lost."""

import llmnet


def told(client: llmnet.Client, prompt: str) -> str:
    """Print the answer to a prompt, and return as much of it as there is."""
    try:
        with client.stream_chat(prompt) as stream:
            for chunk in stream:
                print(chunk.content, end="", flush=True)
    except llmnet.LLMNetError as error:  # before the first chunk it has been retried, after it never
        partial = error.partial.content if error.partial else ""
        print(f"\n[{type(error).__name__} after {len(partial)} characters]")
        return partial
    print(f"\n[{stream.response.finish_reason}, {stream.response.usage.output_tokens} tokens]")
    return stream.response.content


def main() -> None:
    with llmnet.Client("openai:gpt-5.4-mini", timeout=llmnet.Timeout(idle=20, total=300)) as client:
        told(client, "Tell me a story")


if __name__ == "__main__":
    main()
