"""Custom resources: a definition becomes a `Kind`, and the server serves it like every other.

`kind.py`, `names.py` and `printer.py` are pure. `serving.py` follows the definitions in the store, tells in their
status what became of them, replaces the served scheme, and ends the objects of a definition that goes.
"""
