"""The settings of a client: `fields` checks what the caller gives, `resolve` adds what the environment says."""
