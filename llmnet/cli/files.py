"""Reads the files that options name: all of them, or none of one that is too long."""

from llmnet.core.errors import ConfigurationError


def read_file(path: str, most: int) -> bytes:
    """The bytes of a file.

    Raises:
        ConfigurationError: it cannot be read, or has more than *most* bytes.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > most:
        raise ConfigurationError(f"cannot read {path}: it is longer than {most:,} bytes")
    return data
