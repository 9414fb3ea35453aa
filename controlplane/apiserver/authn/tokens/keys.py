"""Keys of service account tokens: one signs, several may verify, so that keys can be exchanged without a gap.

RSA (RS256) and ECDSA (ES256, ES384, ES512), as upstream. A key's id is the hash of its public form, so that all servers
name it alike. Only these algorithms are accepted, each with its own sort of key: `none`, and a public key taken for an
HMAC secret, find nothing.

Source: pkg/serviceaccount/jwt.go (signerFromRSAPrivateKey, keyIDFromPublicKey).
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from controlplane.api.meta import Obj

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class BadKeyError(ValueError):
    """A file without a key that can be used."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key with its id and its algorithm."""

    id: str
    algorithm: str
    key: PublicKey

    @classmethod
    def of(cls, key: PublicKey) -> "VerifyingKey":
        """The key with what follows from it."""
        der = key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        if isinstance(key, rsa.RSAPublicKey):
            return cls(digest, "RS256", key)
        algorithm = _CURVES.get(key.curve.name)
        if algorithm is None:
            raise BadKeyError(f"unknown elliptic curve {key.curve.name}")
        return cls(digest, algorithm, key)

    def jwk(self) -> Obj:
        """The key as a member of a JSON Web Key Set."""
        if isinstance(self.key, rsa.RSAPublicKey):
            fields: Any = jwt.algorithms.RSAAlgorithm.to_jwk(self.key, as_dict=True)
        else:
            fields = jwt.algorithms.ECAlgorithm.to_jwk(self.key, as_dict=True)
        kept = {name: fields[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in fields}
        return {"use": "sig", "kid": self.id, "alg": self.algorithm, **kept}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and the public one that belongs to it."""

    key: PrivateKey
    public: VerifyingKey

    @classmethod
    def of(cls, key: PrivateKey) -> "SigningKey":
        """The key with its public side."""
        return cls(key, VerifyingKey.of(key.public_key()))

    def sign(self, claims: Obj) -> str:
        """A token with these claims."""
        return jwt.encode(
            claims,
            self.key,
            algorithm=self.public.algorithm,
            headers={"kid": self.public.id, "typ": None},
        )


def load_signing_key(pem: bytes) -> SigningKey:
    """The private key of a PEM file; BadKeyError when there is none."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise BadKeyError(f"no private key: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise BadKeyError("a signing key is RSA or ECDSA")
    return SigningKey.of(key)


def load_verifying_keys(pem: bytes) -> list[VerifyingKey]:
    """All public keys of a PEM file; private keys and certificates give theirs. BadKeyError when there is none."""
    found = []
    for match in _PEM.finditer(pem):
        block, kind = match.group(0), match.group(1)
        try:
            if kind.endswith(b"PRIVATE KEY"):
                key: Any = serialization.load_pem_private_key(block, None).public_key()
            elif kind == b"CERTIFICATE":
                key = x509.load_pem_x509_certificate(block).public_key()
            else:
                key = serialization.load_pem_public_key(block)
        except (ValueError, TypeError) as error:
            raise BadKeyError(f"a key cannot be read: {error}") from error
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            found.append(VerifyingKey.of(key))
    if not found:
        raise BadKeyError("no public key")
    return found


class KeyRing:
    """The keys that verify, found by id; a token without an id is tried with all."""

    def __init__(self, keys: Sequence[VerifyingKey]) -> None:
        self._keys = {key.id: key for key in keys}

    def all(self) -> list[VerifyingKey]:
        """The keys in their order."""
        return list(self._keys.values())

    def verify(self, token: str) -> Obj | None:
        """The claims of a token that one of the keys has signed, else None; they may be out of date, or for others."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        named = self._keys.get(str(header.get("kid") or ""))
        for key in [named] if named is not None else self._keys.values():
            if header.get("alg") != key.algorithm:
                continue
            try:
                claims: Obj = jwt.decode(
                    token,
                    key.key,
                    algorithms=[key.algorithm],
                    options={
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                        "verify_aud": False,
                        "verify_iss": False,
                        "verify_sub": False,
                        "verify_jti": False,
                    },
                )
            except jwt.PyJWTError:
                continue
            return claims
        return None
