"""The ciphers of upstream's providers, byte for byte.

    aesgcm      nonce (12) | ciphertext | tag (16), with the value's key as additional data
    aescbc      IV (16) | ciphertext, padded by PKCS #7; no authentication
    secretbox   nonce (24) | tag (16) | ciphertext: XSalsa20 and Poly1305
    identity    the value as it is; refuses to read what is encrypted

Source: apiserver/pkg/storage/value/encrypt/aes, secretbox, identity.
"""

from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from controlplane.storage.codec import ENCRYPTED

_GCM_NONCE, _GCM_TAG = 12, 16
_BLOCK = 16
_BOX_NONCE, _BOX_TAG = 24, 16

RandomBytes = Callable[[int], bytes]


class CipherError(Exception):
    """A value cannot be read with this key; the message says why and has nothing of the value."""


class KeyCipher(Protocol):
    """One key of one provider."""

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """`plain` as it is stored under the store's key `place`."""
        ...

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What `seal` was given; CipherError."""
        ...


class AesGcm:
    """AES in Galois/Counter mode. A key must not seal more than 2^32 values: nonces are chosen by chance."""

    def __init__(self, key: bytes, random_bytes: RandomBytes) -> None:
        self._aead = AESGCM(key)
        self._random = random_bytes

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """See `KeyCipher.seal`."""
        nonce = self._random(_GCM_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """See `KeyCipher.open`."""
        if len(sealed) < _GCM_NONCE + _GCM_TAG:
            raise CipherError("the stored data was shorter than the required size")
        try:
            return self._aead.decrypt(sealed[:_GCM_NONCE], sealed[_GCM_NONCE:], place)
        except InvalidTag:
            raise CipherError("cipher: message authentication failed") from None


class AesCbc:
    """AES in cipher block chaining, padded as PKCS #7 has it."""

    def __init__(self, key: bytes, random_bytes: RandomBytes) -> None:
        self._algorithm = algorithms.AES(key)
        self._random = random_bytes

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """See `KeyCipher.seal`."""
        del place
        start = self._random(_BLOCK)
        padder = PKCS7(_BLOCK * 8).padder()
        encryptor = Cipher(self._algorithm, modes.CBC(start)).encryptor()
        padded = padder.update(plain) + padder.finalize()
        return start + encryptor.update(padded) + encryptor.finalize()

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """See `KeyCipher.open`."""
        del place
        if len(sealed) < _BLOCK:
            raise CipherError("the stored data was shorter than the required size")
        if len(sealed) % _BLOCK:
            raise CipherError("the stored data is not a multiple of the block size")
        decryptor = Cipher(self._algorithm, modes.CBC(sealed[:_BLOCK])).decryptor()
        padded = decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()
        unpadder = PKCS7(_BLOCK * 8).unpadder()
        try:
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise CipherError("invalid padding on input") from None


class Secretbox:
    """XSalsa20 and Poly1305."""

    def __init__(self, key: bytes, random_bytes: RandomBytes) -> None:
        # Late: few use it, and all would wait for its library.
        from nacl.secret import SecretBox

        self._box = SecretBox(key)
        self._random = random_bytes

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """See `KeyCipher.seal`."""
        del place
        return bytes(self._box.encrypt(plain, self._random(_BOX_NONCE)))

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """See `KeyCipher.open`."""
        from nacl.exceptions import CryptoError

        del place
        if len(sealed) < _BOX_NONCE + _BOX_TAG:
            raise CipherError("the stored data was shorter than the required size")
        try:
            return self._box.decrypt(sealed)
        except CryptoError:
            raise CipherError("message authentication failed") from None


class Identity:
    """Values as they are."""

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """See `KeyCipher.seal`."""
        del place
        return plain

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """See `KeyCipher.open`."""
        del place
        if sealed.startswith(ENCRYPTED):
            raise CipherError("identity transformer tried to read encrypted data")
        return sealed
