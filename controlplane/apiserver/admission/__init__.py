"""What may be let in: plugins that complete a request's object, then plugins that may refuse it.

`interface.py` says what a plugin is and what the registry sees of all of them, `registry.py` which there are and in
which order, `plugins/` has a file each. Plugins know no other plugin, no registry and no handler.
"""
