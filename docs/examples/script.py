"""Ask one question and print the answer: `python script.py What is DNS?`."""

import sys

import llmnet


def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is the capital of France?"
    try:
        with llmnet.Client("openai:gpt-5.4-mini", timeout=60) as client:  # 60 s at most, retries included
            reply = client.chat(question, max_tokens=300)
    except llmnet.ConfigurationError as error:  # a wrong argument, or no key: nothing was sent
        sys.exit(f"check the settings: {error}")
    except llmnet.LLMNetError as error:
        sys.exit(f"the call failed: {error}")
    print(reply.content)
    if reply.finish_reason == llmnet.FinishReason.LENGTH:
        print("(cut at 300 tokens)", file=sys.stderr)
    print(f"{reply.usage.total_tokens} tokens, {reply.meta.elapsed:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
