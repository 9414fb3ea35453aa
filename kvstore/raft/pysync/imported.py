"""PySyncObj's names, imported without its encryption, which members do not use: their connections have TLS.

The library does without if `cryptography` is not there. So it is made to seem so while the library is imported, which
takes a sixth off the time that replication needs to load.
"""

import sys

_UNUSED = "cryptography.fernet"

_was_loaded = _UNUSED in sys.modules
if not _was_loaded:
    sys.modules[_UNUSED] = None  # type: ignore[assignment]
try:
    import pysyncobj.syncobj as library
    from pysyncobj.config import SyncObjConf
    from pysyncobj.node import Node
    from pysyncobj.transport import Transport
finally:
    if not _was_loaded:
        del sys.modules[_UNUSED]

__all__ = ["Node", "SyncObjConf", "Transport", "library"]
