"""The Kubernetes API as data: kinds, errors, selectors, defaults, validation, patches, schemas.

Everything here is a pure function or an immutable table over plain dict objects. No asyncio, no
sockets, no clock; the only IO is the lazy reading of packaged schema data. May import nothing
of quorate outside this folder.
"""
