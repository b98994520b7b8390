"""What the vendors expect and send: wire forms and services as pure code and tables; nothing here does I/O."""
