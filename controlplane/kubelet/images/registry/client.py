"""Fetches an image from a registry into a folder of the form of an OCI layout. The only file here that knows HTTP.

Speaks the OCI distribution protocol v1: manifests and indexes by tag or digest, blobs by digest, bearer tokens and
basic authorization on demand. What arrives is checked against its digest.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from controlplane.kubelet.images.oci.archive import fitting
from controlplane.kubelet.images.registry.auth import Credential, matching, parse_challenge

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_MOST_MANIFEST_BYTES = 4 << 20
_LAYERS_AT_ONCE = 3
_TRIES = 3
_CHUNK = 1 << 20
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOSTS = {"docker.io": "registry-1.docker.io"}


class RegistryError(Exception):
    """The image could not be had; the message is shown to users."""


@dataclass(frozen=True, slots=True)
class Registries:
    """How registries are reached."""

    mirrors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By registry, base URLs that are asked before it."""
    insecure: Sequence[str] = ()
    """Registries that are spoken to without TLS; those on loopback addresses always are."""

    def endpoints(self, registry: str) -> list[str]:
        """Base URLs to try, in order."""
        host = _HOSTS.get(registry, registry)
        plain = host in self.insecure or urlsplit(f"//{host}").hostname in _LOOPBACK
        own = f"{'http' if plain else 'https'}://{host}"
        return [*(one.rstrip("/") for one in self.mirrors.get(registry, ())), own]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a name stands for on this kind of machine."""

    digest: str
    content: bytes
    endpoint: str


class RegistryClient:
    """One image's conversation with its registry; use as an async context manager."""

    def __init__(
        self, reference: str, registries: Registries, credentials: Sequence[Credential] = ()
    ) -> None:
        """`reference` is a whole name (see `reference.normalized`)."""
        self._reference = reference
        name, at, digest = reference.partition("@")
        self._registry, _, rest = name.partition("/")
        self._repository, _, tag = (rest, "", "") if at else rest.rpartition(":")
        self._wanted = digest if at else tag
        self._endpoints = registries.endpoints(self._registry)
        self._credentials = matching(credentials, self._registry, self._repository)
        self._authorization: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "RegistryClient":
        # What is on this machine is not asked for through a proxy, whatever the environment says.
        near = any(urlsplit(one).hostname in _LOOPBACK for one in self._endpoints)
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=not near)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def resolve(self) -> Manifest:
        """The manifest the name stands for, from the first endpoint that has it. Raises RegistryError."""
        problem = RegistryError(f"{self._reference}: not found")
        for endpoint in self._endpoints:
            try:
                return await self._resolve_at(endpoint)
            except (RegistryError, aiohttp.ClientError, TimeoutError, OSError) as found:
                problem = RegistryError(
                    f'failed to pull and unpack image "{self._reference}": '
                    f'failed to resolve reference "{self._reference}": {found or "timeout"}'
                )
        raise problem

    async def fetch(self, manifest: Manifest, folder: Path) -> None:
        """Put the image into `folder`, as an OCI layout. Raises RegistryError."""
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        document = json.loads(manifest.content)
        (blobs / _hex(manifest.digest)).write_bytes(manifest.content)
        index = {"schemaVersion": 2, "manifests": [{"digest": manifest.digest}]}
        (folder / "index.json").write_text(json.dumps(index))
        wanted = {str(one["digest"]) for one in (document["config"], *document["layers"])}
        places = asyncio.Semaphore(_LAYERS_AT_ONCE)

        async def get(digest: str) -> None:
            async with places:
                await self._blob(manifest.endpoint, digest, blobs / _hex(digest))

        try:
            async with asyncio.TaskGroup() as group:
                for digest in sorted(wanted):
                    group.create_task(get(digest))
        except* (RegistryError, aiohttp.ClientError, TimeoutError, OSError) as problems:
            first = problems.exceptions[0]
            raise RegistryError(
                f'failed to pull and unpack image "{self._reference}": {first or "timeout"}'
            ) from first

    async def _resolve_at(self, endpoint: str) -> Manifest:
        content = await self._manifest(endpoint, self._wanted)
        digest = _digest(content)
        document = _parsed(content, self._reference)
        if "manifests" in document:
            entry = fitting(document["manifests"])
            if entry is None:
                raise RegistryError(f"no match for platform in manifest {digest}: not found")
            digest = str(entry["digest"])
            content = await self._manifest(endpoint, digest)
            document = _parsed(content, self._reference)
        if not isinstance(document.get("config"), dict) or "layers" not in document:
            raise RegistryError(f"{self._reference}: not a manifest of version 2")
        return Manifest(digest, content, endpoint)

    async def _manifest(self, endpoint: str, wanted: str) -> bytes:
        url = f"{endpoint}/v2/{self._repository}/manifests/{wanted}"
        async with await self._get(endpoint, url, ", ".join(_MANIFESTS)) as response:
            if response.status == 404:
                raise RegistryError(f"{self._reference}: not found")
            _check(response, url)
            content = await response.content.read(_MOST_MANIFEST_BYTES + 1)
            while not response.content.at_eof() and len(content) <= _MOST_MANIFEST_BYTES:
                content += await response.content.read(_MOST_MANIFEST_BYTES)
        if len(content) > _MOST_MANIFEST_BYTES:
            raise RegistryError(f"{url}: a manifest of more than {_MOST_MANIFEST_BYTES} bytes")
        if wanted.startswith("sha256:") and _digest(content) != wanted:
            raise RegistryError(f"{url}: its content is not what its digest says")
        return content

    async def _blob(self, endpoint: str, digest: str, place: Path) -> None:
        url = f"{endpoint}/v2/{self._repository}/blobs/{digest}"
        for attempt in range(1, _TRIES + 1):
            try:
                await self._blob_once(endpoint, url, digest, place)
            except (aiohttp.ClientError, TimeoutError):
                if attempt == _TRIES:
                    raise
            else:
                return

    async def _blob_once(self, endpoint: str, url: str, digest: str, place: Path) -> None:
        read = hashlib.sha256()
        async with await self._get(endpoint, url, "*/*") as response:
            _check(response, url)
            with open(place, "wb") as file:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    read.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
        if read.hexdigest() != _hex(digest):
            raise RegistryError(f"{url}: its content is not what its digest says")

    async def _get(self, endpoint: str, url: str, accept: str) -> aiohttp.ClientResponse:
        response = await self._ask(endpoint, url, accept)
        if response.status == 401:
            header = response.headers.get("WWW-Authenticate", "")
            response.release()
            if await self._authorize(endpoint, header):
                response = await self._ask(endpoint, url, accept)
        if response.status in (401, 403):
            response.release()
            raise RegistryError(
                "pull access denied, repository does not exist or may require authorization: "
                f"server message: {response.reason}"
            )
        return response

    async def _ask(self, endpoint: str, url: str, accept: str) -> aiohttp.ClientResponse:
        assert self._session is not None
        headers = {"Accept": accept}
        if endpoint in self._authorization:
            headers["Authorization"] = self._authorization[endpoint]
        return await self._session.get(url, headers=headers)

    async def _authorize(self, endpoint: str, header: str) -> bool:
        """Get what the registry wants to see; false if there is nothing (new) to show."""
        challenge = parse_challenge(header)
        if challenge.scheme == "basic":
            if not self._credentials or endpoint in self._authorization:
                return False
            self._authorization[endpoint] = self._credentials[0].basic()
            return True
        realm = challenge.parameters.get("realm", "")
        if challenge.scheme != "bearer" or urlsplit(realm).scheme not in ("http", "https"):
            return False
        scope = challenge.parameters.get("scope") or f"repository:{self._repository}:pull"
        query = {"scope": scope}
        if challenge.parameters.get("service"):
            query["service"] = challenge.parameters["service"]
        headers = {"Authorization": self._credentials[0].basic()} if self._credentials else {}
        assert self._session is not None
        async with self._session.get(realm, params=query, headers=headers) as response:
            if response.status != 200:
                raise RegistryError(
                    f"failed to authorize: failed to fetch anonymous token: {response.status} {response.reason}"
                    if not self._credentials
                    else f"failed to authorize: failed to fetch oauth token: {response.status} {response.reason}"
                )
            answer: dict[str, Any] = await response.json(content_type=None)
        token = answer.get("token") or answer.get("access_token")
        if not token:
            return False
        self._authorization[endpoint] = f"Bearer {token}"
        return True


def _check(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status != 200:
        raise RegistryError(
            f"unexpected status from GET request to {url}: {response.status} {response.reason}"
        )


def _parsed(content: bytes, reference: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise RegistryError(f"{reference}: not a manifest")
    return document


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _hex(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise RegistryError(f"digest {digest!r} is not supported")
    return value
