"""A batch that goes on where it stopped: `python batch_resume.py requests.jsonl results.jsonl`, as often as needed.

A line of the input is `{"prompt": "…"}`, with a `custom_id` if you have one. Each answer is written when it is there;
at the start, lines that have one are left out. What failed is asked again the next time.
"""

import json
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import llmnet


def finished(path: pathlib.Path) -> set[str]:
    """The names of the rows that have an answer; a last line that was cut is taken off, and no other is touched."""
    names: set[str] = set()
    whole = 0  # bytes of the lines that are whole
    if path.exists():
        with path.open("rb") as lines:  # bytes end a line at "\n" alone; str.splitlines() cuts within a reply, too
            for line in lines:
                if line.endswith(b"\n"):
                    names.add(json.loads(line)["custom_id"])
                    whole += len(line)
        os.truncate(path, whole)
    return names


def rows(path: pathlib.Path, done: set[str]) -> Iterator[dict[str, Any]]:
    """The rows that are left, one by one; a row without a name is named by its line."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            row = {"custom_id": f"line-{number}", **json.loads(line)}
            if row["custom_id"] not in done:
                yield row


def main(source: str = "requests.jsonl", target: str = "results.jsonl") -> None:
    out = pathlib.Path(target)
    done = finished(out)
    failed = 0
    with llmnet.Client("openai:gpt-5.4-mini") as client, out.open("a", encoding="utf-8", newline="\n") as file:
        left = rows(pathlib.Path(source), done)
        for result in client.batch(left, max_concurrent=20, max_tokens=200, stop_after_errors=50):
            if result.response is None:
                failed += 1
                print(f"{result.custom_id}: {result.error}", file=sys.stderr)
            else:
                line = {"custom_id": result.custom_id, "text": result.response.content}
                print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
    print(f"{len(done)} were there, {len(finished(out)) - len(done)} are new, {failed} failed")


if __name__ == "__main__":
    main(*sys.argv[1:3])
