"""Who asks a registry: credentials out of pull secrets, and what a registry wants to be shown. Pure.

Source of the forms: pkg/credentialprovider (config.go, keyring.go) for secrets, RFC 7235 and the distribution project's
token specification for challenges.
"""

import base64
import binascii
import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controlplane.api.meta import View

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_DOCKER_HUB = ("index.docker.io", "registry-1.docker.io", "docker.io")


@dataclass(frozen=True, slots=True)
class Credential:
    """A user of registries whose names match `place`, a host with or without a path."""

    place: str
    username: str
    password: str

    def basic(self) -> str:
        """As the value of an Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry answered to one it does not know: scheme in small letters, parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenge(header: str) -> Challenge:
    """The first challenge of a WWW-Authenticate header."""
    scheme, _, rest = header.strip().partition(" ")
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(scheme.lower(), found)


def credentials_of(secret: View) -> list[Credential]:
    """What a pull secret holds, in either of its two forms; nothing for one that cannot be read."""
    data = secret.get("data") or {}
    try:
        if secret.get("type") == "kubernetes.io/dockercfg":
            entries = json.loads(base64.b64decode(data.get(".dockercfg") or ""))
        else:
            document = json.loads(base64.b64decode(data.get(".dockerconfigjson") or ""))
            entries = document.get("auths") or {}
        return [one for place, entry in entries.items() for one in _credential(place, entry)]
    except (ValueError, binascii.Error, AttributeError):
        return []


def _credential(place: str, entry: View) -> Iterable[Credential]:
    username, password = entry.get("username"), entry.get("password")
    if entry.get("auth"):
        username, _, password = (
            base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        )
    if username is not None and password is not None:
        yield Credential(_plain(place), str(username), str(password))


def _plain(place: str) -> str:
    """A registry as secrets name it, without scheme and version."""
    place = re.sub(r"^https?://", "", place).rstrip("/")
    host, _, path = place.partition("/")
    host = "docker.io" if host in _DOCKER_HUB else host
    path = re.sub(r"^v[12]$", "", path)
    return f"{host}/{path}".rstrip("/")


def matching(credentials: Iterable[Credential], registry: str, repository: str) -> list[Credential]:
    """Those that are for a repository, the most specific first; `*` stands for one part of a host's name."""
    fitting = [one for one in credentials if _fits(one.place, registry, repository)]
    return sorted(fitting, key=lambda one: len(one.place), reverse=True)


def _fits(place: str, registry: str, repository: str) -> bool:
    host, _, path = place.partition("/")
    wanted, have = host.split("."), registry.split(".")
    if len(wanted) != len(have):
        return False
    if not all(fnmatch.fnmatchcase(h, w) for w, h in zip(wanted, have, strict=True)):
        return False
    return not path or repository == path or repository.startswith(f"{path}/")
