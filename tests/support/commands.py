"""The command `llmnet`, run once, with a text on standard input."""

import subprocess
import sys


def run(server, *arguments, stdin=""):
    base = ["--model", "openai:m", "--base-url", f"{server.url}/v1"]
    command = [sys.executable, "-m", "llmnet", *arguments[:1], *base, *arguments[1:]]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
