"""Ciphers and configurations: upstream's own bytes are read, and files that cannot be used are told."""

import base64
import os
from pathlib import Path

import pytest

from controlplane.storage.encryption import config as configs
from controlplane.storage.encryption.ciphers import (
    AesCbc,
    AesGcm,
    CipherError,
    Identity,
    KeyCipher,
    Secretbox,
)
from controlplane.storage.encryption.encryption import Encryption
from controlplane.storage.encryption.transformer import Key, Transformer
from controlplane.storage.errors import UnreadableError
from kvstore.base.clock import ManualClock

PLACE = b"/registry/secrets/default/s"
PLAIN = b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"}}'


def key(size: int, first: int = 1) -> bytes:
    return bytes(range(first, first + size))


GCM = AesGcm(key(32), os.urandom)
CBC = AesCbc(key(16), os.urandom)
BOX = Secretbox(key(32), os.urandom)
CIPHERS = pytest.mark.parametrize("cipher", [GCM, CBC, BOX], ids=["aesgcm", "aescbc", "secretbox"])

# Sealed by the transformers of k8s.io/apiserver 1.36 with the keys 1, 2, 3, ... and PLACE as the value's key.
RECORDED = {
    "aesgcm": "/GFglLdaQ4eHLkLMi+O0W4Zs/Y50YHmC1iSVFwXpgjXZ6mSGJYjRHv5wlkhY42Jekts5Wx+8//MARPVEZUKgXcKIZj7XckSE"
    "l5idgBxNzezxayCceiA4",
    "aescbc": "VVjA20MAh5ZydzXkPj0gFWT4e3EbrRLo0f29y9zkAbZz7sshGPA2R7NvUsoLeXKShiGrdzQ13/ejp2DPhppTp78c04mYqUtL"
    "Smk7gVGrV5A=",
    "secretbox": "l1CdN6040/j/hsf0WlirFehacHYIA4ldoJkkwl7w3d1az+MiE7a/I2DLNK46CW++2i+s/Kc7lA5BKAvYUTUQC3SSCsl2YWZM"
    "fDV29ZJad5WwgdnNTU+nxqJ9Bk2FeyNXSwLe",
}


@pytest.mark.parametrize(
    ("name", "cipher"), [("aesgcm", GCM), ("aescbc", CBC), ("secretbox", BOX)], ids=RECORDED
)
def test_what_the_original_has_sealed_is_read(name: str, cipher: KeyCipher) -> None:
    assert cipher.open(base64.b64decode(RECORDED[name]), PLACE) == PLAIN


@CIPHERS
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_what_is_sealed_is_read_again_and_shows_nothing(cipher: KeyCipher, size: int) -> None:
    plain = b"p" * size
    sealed = cipher.seal(plain, PLACE)
    assert cipher.open(sealed, PLACE) == plain
    assert sealed != cipher.seal(plain, PLACE)
    assert b"ppp" not in sealed


@CIPHERS
def test_what_is_too_short_is_refused(cipher: KeyCipher) -> None:
    with pytest.raises(CipherError, match="shorter than the required size"):
        cipher.open(b"short", PLACE)


@pytest.mark.parametrize("cipher", [GCM, BOX], ids=["aesgcm", "secretbox"])
def test_a_changed_byte_is_found(cipher: KeyCipher) -> None:
    sealed = bytearray(cipher.seal(PLAIN, PLACE))
    for place in (0, 30, len(sealed) - 1):
        changed = bytes(sealed[:place]) + bytes([sealed[place] ^ 1]) + bytes(sealed[place + 1 :])
        with pytest.raises(CipherError, match="authentication failed"):
            cipher.open(changed, PLACE)


def test_a_value_moved_to_another_key_is_found_by_gcm() -> None:
    with pytest.raises(CipherError):
        GCM.open(GCM.seal(PLAIN, PLACE), b"/registry/secrets/default/other")


def test_damaged_blocks_are_found() -> None:
    sealed = CBC.seal(b"x" * 20, PLACE)
    with pytest.raises(CipherError, match="multiple of the block size"):
        CBC.open(sealed + b"x", PLACE)
    with pytest.raises(CipherError, match="padding"):
        CBC.open(sealed[:-16], PLACE)


def test_identity_reads_no_secrets() -> None:
    assert Identity().open(PLAIN, PLACE) == PLAIN
    with pytest.raises(CipherError, match="tried to read encrypted data"):
        Identity().open(b"k8s:enc:aescbc:v1:k:x", PLACE)


OLD, NEW = AesGcm(key(16), os.urandom), AesGcm(key(16, 2), os.urandom)


def test_the_first_key_writes_and_all_read() -> None:
    old = Transformer([Key(b"k8s:enc:aesgcm:v1:old:", OLD)])
    both = Transformer(
        [
            Key(b"k8s:enc:aesgcm:v1:new:", NEW),
            Key(b"k8s:enc:aesgcm:v1:old:", OLD),
            Key(b"", Identity()),
        ]
    )
    assert both.seal(PLAIN, PLACE).startswith(b"k8s:enc:aesgcm:v1:new:")
    assert both.open(both.seal(PLAIN, PLACE), PLACE) == (PLAIN, False)
    assert both.open(old.seal(PLAIN, PLACE), PLACE) == (PLAIN, True)
    assert both.open(PLAIN, PLACE) == (PLAIN, True)
    with pytest.raises(CipherError, match="no matching prefix found"):
        old.open(PLAIN, PLACE)
    with pytest.raises(CipherError, match="no matching prefix found"):
        both.open(b"k8s:enc:kms:v2:k:x", PLACE)


def test_keys_of_one_name_are_tried_in_turn() -> None:
    one = Transformer([Key(b"k8s:enc:aesgcm:v1:k:", OLD)])
    other = Transformer([Key(b"k8s:enc:aesgcm:v1:k:", NEW), Key(b"k8s:enc:aesgcm:v1:k:", OLD)])
    assert other.open(one.seal(PLAIN, PLACE), PLACE) == (PLAIN, True)


def test_identity_first_writes_plain_and_reads_what_was_encrypted() -> None:
    leaving = Transformer([Key(b"", Identity()), Key(b"k8s:enc:aesgcm:v1:k:", OLD)])
    assert leaving.seal(PLAIN, PLACE) == PLAIN
    sealed = b"k8s:enc:aesgcm:v1:k:" + OLD.seal(PLAIN, PLACE)
    assert leaving.open(sealed, PLACE) == (PLAIN, True)
    assert leaving.open(PLAIN, PLACE) == (PLAIN, False)


HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n"


def secret(size: int = 32, first: int = 1) -> str:
    return base64.b64encode(key(size, first)).decode()


def document(*rules: tuple[list[str], str]) -> str:
    lines = [HEAD, "resources:\n"]
    for resources, provider in rules:
        shown = ", ".join(f'"{one}"' for one in resources)
        lines.append(f"- resources: [{shown}]\n  providers:\n  - {provider}\n  - identity: {{}}\n")
    return "".join(lines)


def provider(kind: str = "aesgcm", name: str = "k", text: str = "") -> str:
    return f"{kind}: {{keys: [{{name: {name}, secret: '{text or secret()}'}}]}}"


@pytest.mark.parametrize(
    ("plural", "group", "name"),
    [
        ("secrets", "", "exact"),
        ("pods", "", "core"),
        ("deployments", "apps", "apps"),
        ("replicasets", "apps", "apps"),
        ("widgets", "example.com", "rest"),
    ],
)
def test_the_narrowest_rule_is_for_a_kind(plural: str, group: str, name: str) -> None:
    text = document(
        (["secrets"], provider(name="exact")),
        (["*."], provider(name="core")),
        (["*.apps"], provider(name="apps")),
        (["*.*"], provider(name="rest")),
    )
    found = configs.parse(text, os.urandom).of(plural, group)
    assert found is not None
    assert found.keys[0].prefix == f"k8s:enc:aesgcm:v1:{name}:".encode()


def test_kinds_that_are_not_named_are_left_alone() -> None:
    found = configs.parse(document((["secrets"], provider())), os.urandom)
    assert found.of("configmaps", "") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: EncryptionConfiguration\n", "is needed"),
        (HEAD, "at least one"),
        (HEAD + "resources: [{resources: [secrets]}]", "providers: Required"),
        (document((["secrets"], "{}")), "does not contain any"),
        (document((["secrets"], "{identity: {}, aesgcm: {}}")), "more than one provider"),
        (document((["secrets"], "aesgcm: {keys: []}")), "at least one keys"),
        (document((["secrets"], provider(text=secret(31)))), "not of the expected length, got 31"),
        (
            document((["secrets"], provider("secretbox", text=secret(16)))),
            r"expected one of \[32\]",
        ),
        (document((["secrets"], provider(text="no base 64"))), "base64 encoded"),
        (document((["secrets"], 'aesgcm: {keys: [{secret: "x"}]}')), "name is a mandatory"),
        (document((["secrets"], "kms: {name: k}")), "no KMS provider"),
        (document((["Secrets"], provider())), "capital letters"),
        (document((["*"], provider())), "use '\\*.'"),
        (document((["secrets", "*."], provider())), "overlapping"),
        (document((["secrets", "secrets"], provider())), "multiple times"),
        (document((["secrets.*"], provider())), "across groups"),
        (document((["*.events.k8s.io"], provider())), "stored using the 'events'"),
        (document((["*.*"], provider()), (["secrets"], provider())), "masked by earlier rule"),
        (HEAD + "resources: [", "no YAML"),
        (HEAD + "resource: []", "unknown field"),
    ],
)
def test_configurations_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(configs.ConfigError, match=words) as refused:
        configs.parse(text, os.urandom)
    assert secret(31) not in str(refused.value)


NAMES = {"/registry/secrets": ("secrets", ""), "/registry/deployments": ("deployments", "apps")}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("stored_key", "is_sealed"),
    [
        ("/registry/secrets/default/s", True),
        ("/registry/deployments/default/d", False),
        ("/registry/example.com/widgets/default/w", True),
        ("/registry/example.com/gadgets/g", False),
        ("/registry/ranges/serviceips", False),
    ],
)
def test_kinds_are_told_by_the_stores_keys(
    tmp_path: Path, stored_key: str, is_sealed: bool
) -> None:
    text = document((["secrets", "widgets.example.com"], provider()))
    encryption = Encryption(write(tmp_path / "e", text), NAMES)
    sealed = encryption.seal(stored_key, PLAIN)
    assert (sealed != PLAIN) == is_sealed
    assert encryption.open(stored_key, sealed) == (PLAIN, False)


def test_numbers_that_are_given_out_are_no_kind_even_for_the_widest_rule(tmp_path: Path) -> None:
    encryption = Encryption(write(tmp_path / "e", document((["*.*"], provider()))), NAMES)
    assert encryption.seal("/registry/ranges/serviceips", PLAIN) == PLAIN


async def test_a_changed_file_is_heeded_and_a_broken_one_is_not(tmp_path: Path) -> None:
    place, path = PLACE.decode(), tmp_path / "e"
    write(path, document((["secrets"], provider(name="one"))))
    encryption, heard = Encryption(path, NAMES), list[int]()
    encryption.on_reload = lambda: heard.append(1)
    first = encryption.seal(place, PLAIN)
    write(path, HEAD)
    assert not encryption.reload()
    assert encryption.open(place, first) == (PLAIN, False)
    two = provider(name="two", text=secret(32, 9))
    rotated = document((["secrets"], two)).replace(
        "  - identity: {}\n", f"  - {provider(name='one')}\n  - identity: {{}}\n"
    )
    write(path, rotated)
    assert encryption.reload()
    assert encryption.open(place, first) == (PLAIN, True)
    assert encryption.seal(place, PLAIN).startswith(b"k8s:enc:aesgcm:v1:two:")
    assert not encryption.reload()
    assert heard == [1]
    assert encryption.reloads == {"failure": 1, "success": 1}
    write(path, document((["secrets"], two)))
    assert encryption.reload()
    with pytest.raises(UnreadableError, match='unable to transform key "/registry/secrets'):
        encryption.open(place, first)


async def test_a_follower_sees_the_file_change(tmp_path: Path) -> None:
    import asyncio

    clock = ManualClock()
    path = write(tmp_path / "e", document((["secrets"], provider(name="one"))))
    encryption = Encryption(path, NAMES)
    following = asyncio.ensure_future(encryption.follow(clock))
    await clock.advance(5.0)
    assert not encryption.reloads
    write(path, document((["secrets"], provider(name="another"))))
    await clock.advance(5.0)
    assert encryption.reloads == {"success": 1}
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
