"""Read an invoice out of a text, as a value with checked fields; ask once more with what was wrong."""

import dataclasses
import sys

import llmnet


@dataclasses.dataclass
class Line:
    article: str
    count: int
    price: float


@dataclasses.dataclass
class Invoice:
    number: str
    lines: list[Line]

    @property
    def total(self) -> float:
        return sum(line.count * line.price for line in self.lines)


def read(client: llmnet.Client, text: str) -> Invoice:
    """The invoice in a text; a reply that does not fit is asked for once more."""
    messages = [{"role": "user", "content": f"Read this invoice:\n{text}"}]
    try:
        return client.chat(messages, output_type=Invoice).parsed
    except llmnet.OutputError as error:
        if error.reason != "mismatch" or error.partial is None:
            raise
        messages += [error.partial.message, {"role": "user", "content": f"That does not fit: {error.message}"}]
    return client.chat(messages, output_type=Invoice).parsed


def main() -> None:
    text = sys.argv[1] if len(sys.argv) > 1 else "Invoice 2026-11: 3 apples at 0.50, 2 pears at 0.75"
    with llmnet.Client("openai:gpt-5.4-mini") as client:
        invoice = read(client, text)
    for line in invoice.lines:
        print(f"{line.count} × {line.article} at {line.price:.2f}")
    print(f"{invoice.number}: {invoice.total:.2f} in all")


if __name__ == "__main__":
    main()
