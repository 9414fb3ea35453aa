"""Pulls images from registries into the node's store."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from controlplane.kubelet.images.oci.archive import ArchiveError
from controlplane.kubelet.images.reference import normalized
from controlplane.kubelet.images.registry.auth import Credential
from controlplane.kubelet.images.registry.client import Registries, RegistryClient, RegistryError
from controlplane.kubelet.images.store import ImageStore

PULLS_AT_ONCE = 2


class ImagePuller:
    """Pulls for all pods of a node: each image once at a time, and few at once."""

    def __init__(self, store: ImageStore, folder: Path, registries: Registries) -> None:
        self._store = store
        self._folder = folder
        self._registries = registries
        self._places = asyncio.Semaphore(PULLS_AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}

    async def pull(self, reference: str, credentials: Sequence[Credential]) -> None:
        """Have what the registry has under that name. Raises RegistryError."""
        whole = normalized(reference)
        lock = self._locks.setdefault(whole, asyncio.Lock())
        try:
            async with lock, self._places:
                await self._pull(whole, credentials)
        finally:
            if not lock.locked():
                self._locks.pop(whole, None)

    async def _pull(self, whole: str, credentials: Sequence[Credential]) -> None:
        async with RegistryClient(whole, self._registries, credentials) as registry:
            manifest = await registry.resolve()
            known = self._store.find(whole)
            if known is not None and known.digest == manifest.digest:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="pull-", dir=self._folder) as folder:
                await registry.fetch(manifest, Path(folder))
                try:
                    await asyncio.to_thread(self._store.load, Path(folder), whole, pulled=True)
                except (ArchiveError, OSError) as problem:
                    text = f'failed to pull and unpack image "{whole}": {problem}'
                    raise RegistryError(text) from problem
