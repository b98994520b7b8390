"""Many requests at once, with bounded concurrency and bounded memory."""
