"""Pure decisions and values: no I/O, no thread, no clock that was not handed in."""
