"""The async transport, on httpx."""
