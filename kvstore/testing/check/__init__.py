"""Checkers: one property a file, each a pure function from a history to its violations.

Nothing here knows the store's own classes: a checker that shared code with what it checks would share its mistakes.
"""
