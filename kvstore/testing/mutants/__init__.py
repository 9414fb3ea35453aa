"""Known mistakes, each a rule of the product switched off while a simulation runs: the proof that the search can see.

A file a topic, put together in `catalog`. Nothing in the product knows of them.
"""
