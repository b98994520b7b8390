"""How calls are counted, logged and told to whoever asks."""
