"""Who may do what: users, roles and permissions as replicated state, and the tokens that stand for a user.

`store`, `permissions` and `errors` are pure and part of the state machine. `tokens` and `passwords` belong to the
shell: they read clocks and keys, and nothing of theirs is replicated. Enforcement is elsewhere: writes in
`kvstore.machine.access`, everything else in `kvstore.service.guard`.
"""
