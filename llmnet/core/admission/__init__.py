"""Who may send when: a queue for slots, and what calls to one host with one credential share after a refusal."""
