"""One row of the scheme: how a kind is named, addressed, stored and listed in discovery.

Kept apart from scheme.py so that the rows under kinds/ can be written without importing the table
that collects them.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)
READ_WRITE = ("get", "patch", "update")
PROXIED = ("create", "delete", "get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A path below an object: `status`, `scale`, `binding`, ...

    `group`, `version` and `kind` name the body's type; empty means the parent's own.
    """

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A served kind.

    `storage` is the path below /registry (Kubernetes' historic names, so that tools reading the
    store find objects where they look for them); empty means the plural.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    storage: str = ""
    field_labels: tuple[str, ...] = ()
    list_kind: str = ""

    def __post_init__(self) -> None:
        if not self.singular:
            object.__setattr__(self, "singular", self.kind.lower())
        if not self.list_kind:
            object.__setattr__(self, "list_kind", self.kind + "List")
        if not self.storage:
            object.__setattr__(self, "storage", self.plural)

    def __hash__(self) -> int:
        # Rows are keys of many tables; the rest of a row follows from its names.
        return hash((self.group, self.version, self.plural))

    @property
    def group_version(self) -> str:
        """The apiVersion of the kind: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def api_version(self) -> str:
        """Same as `group_version`, by the name objects use."""
        return self.group_version

    @property
    def group_resource(self) -> str:
        """The name errors and logs use: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def key_prefix(self) -> str:
        """Where the objects live in the store, without a trailing slash."""
        return f"/registry/{self.storage}"

    @property
    def base_path(self) -> str:
        """The URL of the group version: `/api/v1`, `/apis/apps/v1`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def key(self, namespace: str, name: str) -> str:
        """The store key of one object."""
        if self.namespaced:
            return f"{self.key_prefix}/{namespace}/{name}"
        return f"{self.key_prefix}/{name}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection (no name), the object or its subresource."""
        parts = [self.base_path]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def subresource(self, name: str) -> Subresource | None:
        """The subresource row by name, None when the kind has none so called."""
        for row in self.subresources:
            if row.name == name:
                return row
        return None

    def has_status(self) -> bool:
        """Whether the kind has a /status subresource (so that plain writes ignore status)."""
        return self.subresource("status") is not None


STATUS = Subresource("status", READ_WRITE)
SCALE = Subresource("scale", READ_WRITE, kind="Scale", group="autoscaling", version="v1")
