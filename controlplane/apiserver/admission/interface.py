"""What an admission plugin is, what it is told, and the `Admission` protocol that the registry sees of all of them.

A write goes: decode and default, mutating plugins, the kind's strategy, the kind's rules, validating plugins, store.
Updates and deletions run this inside the storage's compare-and-write loop, so that a plugin may be asked again when
another writer was first. Plugins may wait: for a webhook, for another object, for a quota.

Source: apiserver/pkg/admission/interfaces.go and attributes.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.api import meta
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import User

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


class Reinvocation:
    """Which mutating plugins must see an object again: those that were asked before somebody changed it.

    There are at most two rounds. A plugin that wants a second one keeps account under its name: what it asked
    (`invoked`), and that something changed the object (`changed`). What other plugins change in between counts, too.

    Source: apiserver/pkg/admission/{reinvocation.go,attributes.go}, plugin/webhook/mutating/reinvocationcontext.go.
    """

    def __init__(self) -> None:
        self.is_second = False
        self.is_wanted = False
        self._asked: dict[str, set[str]] = {}
        self._due: dict[str, set[str]] = {}
        self._outputs: dict[str, Obj | None] = {}

    def begin(self, plugin: str, obj: Obj | None) -> None:
        """The plugin's turn comes."""
        if self.is_second and self._outputs.get(plugin) != obj:
            self._require(plugin)

    def end(self, plugin: str, obj: Obj | None) -> None:
        """The plugin's turn is over."""
        self._outputs[plugin] = None if obj is None else meta.copy_of(obj)

    def invoked(self, plugin: str, key: str) -> None:
        """One of the plugin's programs was asked, and may be asked again."""
        self._asked.setdefault(plugin, set()).add(key)

    def changed(self, plugin: str) -> None:
        """One of the plugin's programs has changed the object."""
        self._require(plugin)
        self.is_wanted = True

    def is_due(self, plugin: str, key: str) -> bool:
        """Whether the program must be asked in the second round."""
        return key in self._due.get(plugin, ())

    def _require(self, plugin: str) -> None:
        self._due.setdefault(plugin, set()).update(self._asked.pop(plugin, ()))


@dataclass(frozen=True, slots=True)
class Attributes:
    """One request to let in.

    `resource` is the row of the URL, `kind` that of `obj`: they differ for subresources with a body of their own, such
    as a Scale. `obj` is what is wanted, None for DELETE; mutating plugins change it in place. `old` is what is there,
    None for CREATE and CONNECT; it is shared and not to be changed. `name` is empty while a name is to be generated.
    `options` is the CreateOptions, UpdateOptions or DeleteOptions of the request.
    `warnings` takes texts for Warning headers, `annotations` notes for the audit log.
    """

    operation: str
    resource: Resource
    kind: Kind
    user: User
    obj: Obj | None
    old: Obj | None = None
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    options: Obj = field(default_factory=dict)
    is_dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    reinvocation: Reinvocation = field(default_factory=Reinvocation)

    def require_object(self) -> Obj:
        """`obj` where the operation has one; a programming error where it has none."""
        assert self.obj is not None
        return self.obj


class Plugin(Protocol):
    """What all plugins have."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Whether the plugin is to be asked; the answer depends on nothing else and is remembered."""
        ...


class Mutator(Plugin, Protocol):
    """A plugin that completes objects."""

    async def admit(self, attributes: Attributes) -> None:
        """Change `attributes.obj` in place, or refuse by raising an APIError."""
        ...


class Validator(Plugin, Protocol):
    """A plugin that only looks."""

    async def validate(self, attributes: Attributes) -> None:
        """Refuse by raising an APIError."""
        ...


class Admission(Protocol):
    """All plugins as the registry sees them."""

    def mutators(self, operation: str, resource: Resource, subresource: str) -> Sequence[Mutator]:
        """Those to ask before the strategy, in order."""
        ...

    def validators(
        self, operation: str, resource: Resource, subresource: str
    ) -> Sequence[Validator]:
        """Those to ask after the rules, in order."""
        ...


async def mutate(admission: Admission, attributes: Attributes) -> None:
    """Ask all mutating plugins; twice, when one of them wants that."""
    plugins = admission.mutators(attributes.operation, attributes.resource, attributes.subresource)
    for plugin in plugins:
        await plugin.admit(attributes)
    if attributes.reinvocation.is_wanted:
        attributes.reinvocation.is_second = True
        for plugin in plugins:
            await plugin.admit(attributes)


async def validate(admission: Admission, attributes: Attributes) -> None:
    """Ask all validating plugins."""
    for plugin in admission.validators(
        attributes.operation, attributes.resource, attributes.subresource
    ):
        await plugin.validate(attributes)
