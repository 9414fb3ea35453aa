"""Paths below an object; `table.py` says which handler answers which."""
