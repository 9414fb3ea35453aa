"""Every built-in kind, side by side; pure.

A kind is one file (a folder past 250 lines) and one line in the list of its group. `catalog.py` collects the groups.
A kind may import `controlplane.api`, and `core` where an object embeds a kind of it (pod templates); it never imports a
program, a client or storage.
"""
