"""Call what llmnet has no method for: a list of models as the vendor writes it, and its size as a stream."""

import llmnet


def main() -> None:
    with llmnet.Client("openai:gpt-5.4-mini", timeout=30) as client:
        reply = client.request("GET", "/models")
        print(reply.status, [model["id"] for model in reply.json()["data"]][:3])
        with client.request("GET", "/models", stream=True) as stream:
            print(sum(len(piece) for piece in stream), "bytes")
        try:
            client.request("POST", "/no-such-endpoint", json={"a": 1})
        except llmnet.NotFoundError as error:
            print(error.status, error.code)


if __name__ == "__main__":
    main()
