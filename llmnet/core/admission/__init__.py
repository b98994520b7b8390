"""Who may send when: a queue for slots, and what calls to one host share when it pushes back."""
