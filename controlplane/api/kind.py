"""A kind: one value that carries everything the generic code asks about it.

Built-in kinds are written under `controlplane/kinds/`, one file each; a CustomResourceDefinition becomes one at run
time. Nothing downstream can tell the two apart, and nothing is looked up by a bare kind name: two groups may both have
a `Service`. Every part but the row has a plain default, so that a kind without rules is one line.

All functions are pure. `default` and the strategy's hooks change the object they are given, which is never a shared
one; the rules only read. Order of a write, as upstream's: decode, `default`, mutating admission,
`strategy.prepare_for_*`, `validate*`, validating admission, store.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.api import names, selectors
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.schema import builtin, normal
from controlplane.api.schema.builtin import Schema
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import DEFAULT_COLUMNS, Column

PLAIN_LABELS = '"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'
"""How kinds without field labels of their own refuse others; cluster-wide ones name the namespace, too."""


def _nothing(obj: Obj) -> None:
    del obj


def _no_causes(obj: Obj) -> list[Cause]:
    del obj
    return []


def _no_update_causes(new: Obj, old: Obj) -> list[Cause]:
    del new, old
    return []


def _no_conditions(obj: Obj) -> list[Obj]:
    del obj
    return []


def _no_field(obj: Obj, label: str) -> str | None:
    del obj, label
    return None


def _no_warnings(obj: Obj, old: Obj | None) -> list[str]:
    del obj, old
    return []


class MetadataRules(enum.Flag):
    """Which rules of metadata a kind adds to those that all kinds share.

    All kinds have the plain rules: a name fits into a URL, labels and so on are well formed, nothing changes that may
    not. Most kinds ask once more, which shows in how often a cause is listed; each combination is one that upstream's
    kinds have.
    """

    NAMED = enum.auto()
    """Names obey the kind's rule."""
    FINALIZERS = enum.auto()
    """Finalizers without a prefix are standard ones."""
    CHANGED = enum.auto()
    """An update asks again for what may not change."""
    WHOLE = enum.auto()
    """An update asks again for everything that a create asks for."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a second version (or a second group) of a kind shares the store of the first.

    `stored_as` is (group, version, plural) of the row under which objects are stored. `to_stored` and `from_stored`
    make a new object of the other version; `apiVersion` and `kind` are set by the caller.
    """

    stored_as: tuple[str, str, str]
    to_stored: Callable[[Obj], Obj]
    from_stored: Callable[[Obj], Obj]


class Converter(Protocol):
    """Somebody outside who converts objects of one kind between its versions, as a definition's webhook does."""

    async def stored(self, objects: Sequence[Obj], api_version: str) -> list[Obj]:
        """Objects of the store in that version, in order; new ones. APIError when they cannot be converted."""
        ...

    async def convert(self, objects: Sequence[Obj], api_version: str) -> list[Obj]:
        """Any objects in that version, in order; those that have it are returned as they are. APIError."""
        ...


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the numbers of an autoscaling/v1 Scale stand in an object: dotted paths. `selector` may be empty.

    A selector is a text in the query form, or a metav1.LabelSelector.
    """

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"


@dataclass(frozen=True, slots=True)
class Part:
    """What a subresource other than the status may change of an object.

    `prepare(obj, live)` puts back all the rest, in place; `validate(new, old)` gives the causes.
    """

    prepare: Callable[[Obj, Obj], None]
    validate: Callable[[Obj, Obj], list[Cause]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A served kind in one version.

    `default` fills in what was left out (upstream's defaults.go), in place and idempotent; it runs on what a client
    sends and on what a patch makes, before admission.
    `validate(obj)` are the rules of a create without those of metadata; `validate_update(new, old)` those of a
    change *in addition to* `validate(new)` unless `validates_update_alone` says that it calls what it needs itself;
    `validate_status(new, old)` those of a write of the status.
    `validate_name(name)` gives the problems of metadata.name, `metadata_rules` says when it is asked.
    `columns` and `row_conditions` make Tables; `field_value(obj, label)` is a field label's text where it is not simply
    the value at that path (None: take the path).
    `warnings(obj, old)` are texts of Warning headers; `old` is None for a create.
    `unknown_field_label` is the refusal of a field selector, with a place for the `{label}`, where it is an own one.
    `deprecation` is the text of the warning that each request of a deprecated kind gets.
    `is_tracked` says whether writes leave metadata.managedFields.
    `read(obj)` makes what a client sent fit the schema, in place, and gives the paths it has dropped; None for built-in
    kinds, which are read by their type.
    `from_storage(obj)` makes a new object of a stored one, which an earlier schema may have let in; None keeps it.
    `parts` are the subresources, by name, that change a part of the object.
    `scale` says where the subresource of that name finds its numbers.
    `converter`, where there is one, converts objects whose apiVersion is not the one wanted; `conversion` then says no
    more than where they are stored.
    `own_schema` is the schema of a custom resource; None takes the built-in one by group, version and kind.
    """

    resource: Resource
    strategy: Callable[[Resource], Strategy] = Strategy
    default: Callable[[Obj], None] = _nothing
    validate: Callable[[Obj], list[Cause]] = _no_causes
    validate_update: Callable[[Obj, Obj], list[Cause]] = _no_update_causes
    validates_update_alone: bool = False
    validate_status: Callable[[Obj, Obj], list[Cause]] = _no_update_causes
    validate_name: Callable[[str], list[str]] = names.dns_subdomain
    columns: Sequence[Column] = DEFAULT_COLUMNS
    row_conditions: Callable[[Obj], list[Obj]] = _no_conditions
    field_value: Callable[[Obj, str], str | None] = _no_field
    warnings: Callable[[Obj, Obj | None], list[str]] = _no_warnings
    deprecation: str = ""
    unknown_field_label: str = ""
    is_tracked: bool = True
    metadata_rules: MetadataRules = ~MetadataRules(0)
    read: Callable[[Obj], list[str]] | None = None
    from_storage: Callable[[Obj], Obj] | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    scale: ScalePaths = ScalePaths()
    own_schema: Schema | None = None
    conversion: Conversion | None = None
    converter: Converter | None = None

    @property
    def field_labels(self) -> tuple[str, ...]:
        """All field labels the objects can be selected by."""
        row = self.resource
        base = ("metadata.name", "metadata.namespace") if row.namespaced else ("metadata.name",)
        return base + row.field_labels

    @property
    def field_label_refusal(self) -> str:
        """How a field selector is refused, with a place for the `{label}`."""
        if self.unknown_field_label:
            return self.unknown_field_label
        if self.resource.field_labels or self.own_schema is not None:
            return "field label not supported: {label}"
        return PLAIN_LABELS

    def field_text(self, obj: Obj, label: str) -> str:
        """The text a field selector compares with; missing is empty, booleans are true and false."""
        text = self.field_value(obj, label)
        return selectors.text_at(obj, label) if text is None else text

    @property
    def schema(self) -> Schema | None:
        """The schema of the kind's objects; None when nothing is known of their fields."""
        if self.own_schema is not None:
            return self.own_schema
        return builtin.schema_for(self.resource.group_version, self.resource.kind)

    @property
    def form(self) -> normal.Compiled | None:
        """How the kind's objects are read and kept; None for custom resources, which keep their zero values."""
        if self.own_schema is not None:
            return None
        return normal.compiled_of(self.resource.group_version, self.resource.kind)

    def zero(self) -> Obj:
        """An object in which nothing is set."""
        form = self.form
        return {} if form is None else form.zero()

    def kept(self, obj: Obj) -> Obj:
        """`obj` in the form in which it is stored: without the zero values that the type leaves out."""
        form = self.form
        return obj if form is None else normal.normalize(obj, form)[0]
