"""Faults that a running member can be given: on its links, its disk and its clock, and the socket that switches them.

Belongs here: what a fault does inside one member. Which member gets which fault, and when, is decided elsewhere
(`kvstore.local.faults`, `kvstore.testing.chaos.nemesis`). May import only kvstore.base.
"""
