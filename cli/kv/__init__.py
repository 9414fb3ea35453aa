"""`quorate kv`: the store's client in etcdctl's words, flags, outputs and exit codes.

A module per group of commands; `flags` and `tree` are the command line itself, `session` what the commands share.
What is printed for an answer is in `cli/output*.py`. Nothing here starts or stops members.
"""
