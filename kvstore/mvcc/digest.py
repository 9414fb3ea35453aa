"""Digest of the state: a sum of one hash per version, so that it can be kept while writing.

Equal on all members for an equal (compacted revision, revision), in whatever order and however often compaction or
snapshots happened. Not etcd's own hash and not cryptographic: it finds members that went apart, not forgers. Python's
`hash` is of no use here, as it differs from process to process.
"""

from zlib import crc32

from kvstore.mvcc.kv import KeyValue

MASK = (1 << 64) - 1

# Odd 64-bit constants without pattern: multiples keep the fields apart within one number.
_A = 0x9E3779B97F4A7C15
_B = 0xC2B2AE3D27D4EB4F
_C = 0x165667B19E3779F9
_D = 0xD6E8FEB86659FD93


def hash_version(kv: KeyValue) -> int:
    """64-bit hash of one version, all fields."""
    mixed = (
        (crc32(kv.key) << 32 | crc32(kv.value, len(kv.key)))
        + kv.mod_revision * _A
        + kv.create_revision * _B
        + kv.version * _C
        + kv.lease * _D
    ) & MASK
    # Sums of unmixed hashes would let two changes cancel each other.
    mixed = ((mixed ^ mixed >> 31) * _B) & MASK
    return mixed ^ mixed >> 29


def fold(total: int) -> int:
    """The 32 bits that etcd's HashKV has room for."""
    return crc32((total & MASK).to_bytes(8, "big"))
