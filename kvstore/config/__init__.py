"""A member's settings: etcd's flags, variables and file, read, checked together, and turned into what the parts take.

`flag_table` says which flags there are, `flags` reads them, `members` and `tls` read what needs a syntax of its own,
and `reader` puts it together. Reads files; writes, listens and starts nothing.
"""
