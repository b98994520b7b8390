"""A conversation on the terminal: each line is a question, an empty one ends it; works with any provider."""

import sys
from typing import Any

import llmnet

KEPT = 20  # messages; older ones are forgotten, but for the first, which is the system's


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "dashscope:qwen-plus"
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    with llmnet.Client(model) as client:
        for line in sys.stdin:
            if not line.strip():
                break
            messages.append({"role": "user", "content": line.strip()})
            with client.stream_chat(messages) as stream:
                for chunk in stream:
                    print(chunk.content, end="", flush=True)
            print()
            messages.append(stream.response.message)  # also what only the vendor understands, as thinking blocks
            del messages[1:-KEPT]


if __name__ == "__main__":
    main()
