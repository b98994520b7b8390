"""The clients: arguments become calls in `base`; `sync` and `aio` drive them, one text of which one is awaited."""
