"""The resources granted to one pod, kept in a file: a restart of the kubelet takes nothing away and grants nothing.

<root>/pods/<uid>/allocation.json
"""

import contextlib
import json
import os
from pathlib import Path

from controlplane.api.meta import View
from controlplane.kubelet.pods.resize import Resources, resources_of


class Allocation:
    """What each pod of the node was granted. A pod that is seen for the first time is granted what its spec wishes."""

    def __init__(self, file: Path, pod: View) -> None:
        self._file = file
        self.allocated: dict[str, Resources] = resources_of(pod)
        self.actual: dict[str, Resources] = {}
        """What each running container was given."""
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(file.read_text())
            self.allocated, self.actual = kept["allocated"], kept["actual"]

    def grant(self, pod: View) -> None:
        """Grant what the spec wishes."""
        self.allocated = resources_of(pod)
        self._save()

    def give(self, container: str) -> None:
        """A container has got what was granted."""
        if container in self.allocated:
            self.actual[container] = self.allocated[container]
            self._save()

    def _save(self) -> None:
        # Lost with the pod's folder; without room for it the spec is taken again.
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps({"allocated": self.allocated, "actual": self.actual}))
            os.replace(fresh, self._file)
