"""What a new cluster has beside what the programs make themselves: the default StorageClass.

Made once in the life of a state folder: what its users change or delete stays so.
"""

import contextlib
import json
from pathlib import Path

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.client.rest import RestClient
from controlplane.kinds.core.persistent_volume.binding import LOCAL_PATH, WAITS
from controlplane.kinds.storage.storage_class import DEFAULT_ANNOTATION, STORAGE_CLASSES

_RECORD = "addons.json"

ADDONS: tuple[tuple[Resource, Obj], ...] = (
    (
        STORAGE_CLASSES,
        {
            "metadata": {"name": "local-path", "annotations": {DEFAULT_ANNOTATION: "true"}},
            "provisioner": LOCAL_PATH,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": WAITS,
            "allowVolumeExpansion": True,
        },
    ),
)


async def install(client: RestClient, state_dir: Path) -> None:
    """Make what this state folder has not had yet. Raises APIError."""
    record = state_dir / _RECORD
    made: list[str] = json.loads(record.read_text()) if record.exists() else []
    for resource, obj in ADDONS:
        name = f"{resource.group_resource}/{meta.name(obj)}"
        if name in made:
            continue
        with contextlib.suppress(AlreadyExists):
            await client.create(resource, meta.copy_of(obj))
        made.append(name)
    record.write_text(json.dumps(made))
