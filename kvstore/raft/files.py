"""The file operations that journal and snapshots rest on; they live in base, because fault injection wraps them."""

from kvstore.base.files import Files as Files
