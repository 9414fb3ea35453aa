"""EncryptionConfiguration files: which kinds are encrypted by which providers.

Source: apiserver/pkg/apis/apiserver/validation/validation_encryption.go.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import yaml

from controlplane.storage.encryption.ciphers import (
    AesCbc,
    AesGcm,
    Identity,
    KeyCipher,
    RandomBytes,
    Secretbox,
)
from controlplane.storage.encryption.transformer import Key, Transformer

_GROUP_VERSION = "apiserver.config.k8s.io/v1"
_AES_SIZES, _BOX_SIZES = (16, 24, 32), (32,)
_NOT_SERVED = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")

_Made = Callable[[bytes, RandomBytes], KeyCipher]
_PROVIDERS: dict[str, tuple[_Made, tuple[int, ...]]] = {
    "aesgcm": (AesGcm, _AES_SIZES),
    "aescbc": (AesCbc, _AES_SIZES),
    "secretbox": (Secretbox, _BOX_SIZES),
}


class ConfigError(ValueError):
    """The file cannot be used; the message says where and why, and shows no key."""


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str = ""
    secret: str = ""


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[_Key, ...] = ()


class _Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    aesgcm: _Keys | None = None
    aescbc: _Keys | None = None
    secretbox: _Keys | None = None
    identity: dict[str, Any] | None = None
    kms: dict[str, Any] | None = None


class _Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    resources: tuple[str, ...] = ()
    providers: tuple[_Provider, ...] = ()


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str = ""
    apiVersion: str = ""
    resources: tuple[_Resources, ...] = ()


class Config:
    """A configuration at work: the transformer of each kind by its name, `secrets` or `deployments.apps`."""

    def __init__(self, rules: Mapping[tuple[str, str], Transformer], fingerprint: str) -> None:
        self._rules = rules
        # Of the file; tells one configuration from another.
        self.fingerprint = fingerprint

    def of(self, plural: str, group: str) -> Transformer | None:
        """The transformer of a kind; None when nothing is said of it."""
        for name in ((plural, group), ("*", group), ("*", "*")):
            found = self._rules.get(name)
            if found is not None:
                return found
        return None


def parse(text: str, random_bytes: RandomBytes) -> Config:
    """The configuration of a YAML or JSON document. ConfigError."""
    try:
        found = msgspec.convert(yaml.safe_load(text), _Document, strict=False)
    except yaml.YAMLError:
        # The parser's own words show the line, which may have a key.
        raise ConfigError("the file is no YAML") from None
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    if (found.apiVersion, found.kind) != (_GROUP_VERSION, "EncryptionConfiguration"):
        raise ConfigError(f"an EncryptionConfiguration of {_GROUP_VERSION} is needed")
    problems = _problems(found)
    if problems:
        raise ConfigError("; ".join(problems))
    rules: dict[tuple[str, str], list[Key]] = {}
    for part in found.resources:
        keys = [key for one in part.providers for key in _keys(one, random_bytes)]
        for resource in part.resources:
            name = _parsed(resource)
            for masking in (("*", name[1]), ("*", "*")):
                if masking in rules:
                    raise ConfigError(
                        f'resource "{resource}" is masked by earlier rule "{".".join(masking)}"'
                    )
            rules.setdefault(name, []).extend(keys)
    made = {name: Transformer(keys) for name, keys in rules.items()}
    return Config(made, hashlib.sha256(text.encode()).hexdigest())


def _parsed(resource: str) -> tuple[str, str]:
    plural, _, group = resource.partition(".")
    return plural, group


def _keys(provider: _Provider, random_bytes: RandomBytes) -> list[Key]:
    for name, (make, _) in _PROVIDERS.items():
        given: _Keys | None = getattr(provider, name)
        if given is not None:
            return [
                Key(
                    f"k8s:enc:{name}:v1:{key.name}:".encode(),
                    make(base64.b64decode(key.secret), random_bytes),
                )
                for key in given.keys
            ]
    return [Key(b"", Identity())]


def _problems(document: _Document) -> list[str]:
    if not document.resources:
        return ["resources: Required value: at least one resources is required"]
    problems: list[str] = []
    for index, part in enumerate(document.resources):
        where = f"resources[{index}]"
        if not part.resources:
            problems.append(f"{where}.resources: Required value: at least one is required")
        problems += _resource_problems(f"{where}.resources", part.resources)
        if not part.providers:
            problems.append(f"{where}.providers: Required value: at least one is required")
        for number, provider in enumerate(part.providers):
            problems += _provider_problems(f"{where}.providers[{number}]", provider)
    return problems


def _resource_problems(where: str, resources: tuple[str, ...]) -> list[str]:
    problems: list[str] = []
    if len(set(resources)) < len(resources):
        problems.append(f"{where}: the same resource cannot be specified multiple times")
    groups = [_parsed(one)[1] for one in resources]
    masking = [group for one, group in zip(resources, groups, strict=True) if one.startswith("*.")]
    if len(resources) > 1 and any(group == "*" or groups.count(group) > 1 for group in masking):
        problems.append(
            f"{where}: using overlapping resources such as 'secrets' and '*.' in the same "
            "resource list is not allowed as they will be masked"
        )
    for index, resource in enumerate(resources):
        problem = _name_problem(resource)
        if problem:
            problems.append(f'{where}[{index}]: Invalid value: "{resource}": {problem}')
    return problems


def _name_problem(resource: str) -> str:
    plural, group = _parsed(resource)
    if resource != resource.lower():
        return "resource name should not contain capital letters"
    if resource == "*":
        return (
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all "
            "resources"
        )
    if resource in _NOT_SERVED:
        return "resources which do not have REST API/s cannot be encrypted"
    if group == "events.k8s.io":
        return (
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use "
            "'events' instead in the config file"
        )
    if group == "extensions":
        return "'extensions' group has been removed and cannot be used for encryption"
    if group == "*" and plural != "*":
        return "encrypting the same resource across groups is not supported"
    return ""


def _provider_problems(where: str, provider: _Provider) -> list[str]:
    named = [
        name for name in (*_PROVIDERS, "identity", "kms") if getattr(provider, name) is not None
    ]
    if not named:
        return [
            f"{where}: Invalid value: provider does not contain any of the expected providers: "
            "KMS, AESGCM, AESCBC, Secretbox, Identity"
        ]
    if len(named) > 1:
        return [
            f"{where}: Invalid value: more than one provider specified in a single element, should "
            "split into different list elements"
        ]
    if named == ["kms"]:
        return [f"{where}.kms: this server has no KMS provider"]
    if named == ["identity"]:
        return []
    keys: _Keys = getattr(provider, named[0])
    path, sizes = f"{where}.{named[0]}.keys", _PROVIDERS[named[0]][1]
    if not keys.keys:
        return [f"{path}: Required value: at least one keys is required"]
    return [
        f"{path}[{index}].{problem}"
        for index, key in enumerate(keys.keys)
        for problem in _key_problems(key, sizes)
    ]


def _key_problems(key: _Key, sizes: tuple[int, ...]) -> list[str]:
    problems: list[str] = []
    if not key.name:
        problems.append("name: Required value: name is a mandatory field for a key")
    if not key.secret:
        return [*problems, "secret: Required value: secret is a mandatory field for a key"]
    try:
        length = len(base64.b64decode(key.secret, validate=True))
    except binascii.Error:
        return [*problems, 'secret: Invalid value: "REDACTED": secrets must be base64 encoded']
    if length not in sizes:
        shown = " ".join(map(str, sizes))
        problems.append(
            f'secret: Invalid value: "REDACTED": secret is not of the expected length, got '
            f"{length}, expected one of [{shown}]"
        )
    return problems
