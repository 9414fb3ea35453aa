"""All keys that may read a kind's values, in order: the first one writes.

A value says by its prefix which provider and which key have sealed it. Keys of one name may differ between
providers of one sort, so each that the prefix fits is tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.storage.encryption.ciphers import CipherError, KeyCipher


@dataclass(frozen=True, slots=True)
class Key:
    """A key with the prefix of what it seals; empty for values that are left as they are."""

    prefix: bytes
    cipher: KeyCipher


class Transformer:
    """Seals with the first of its keys, opens with any: the provider whose prefix a value has."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """The form in which `plain` is stored under the key `place`."""
        first = self.keys[0]
        return first.prefix + first.cipher.seal(plain, place)

    def open(self, stored: bytes, place: bytes) -> tuple[bytes, bool]:
        """The value, and whether it is stale: sealed by another key than the one that writes. CipherError."""
        problems: list[str] = []
        for index, key in enumerate(self.keys):
            if not stored.startswith(key.prefix):
                continue
            try:
                return key.cipher.open(stored[len(key.prefix) :], place), index > 0
            except CipherError as error:
                if key.prefix:
                    problems.append(str(error))
        raise CipherError("; ".join(dict.fromkeys(problems)) or "no matching prefix found")
