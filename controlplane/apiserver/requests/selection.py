"""labelSelector and fieldSelector of a request, as one test of an object."""

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import (
    FieldSelector,
    LabelSelector,
    parse_field_selector,
    parse_label_selector,
)
from controlplane.apiserver.http.messages import Request


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a list, watch or deletecollection is about."""

    kind: Kind
    prefix: str
    labels: LabelSelector
    fields: FieldSelector

    @property
    def is_all(self) -> bool:
        """Whether only the namespace selects."""
        return self.labels.empty and self.fields.empty

    def matches(self, obj: Obj) -> bool:
        """Whether the selectors take `obj`; its namespace is the prefix's business."""
        return (self.labels.empty or self.labels.matches(meta.labels(obj))) and (
            self.fields.empty or self.fields.matches(obj, self.kind.field_text)
        )


def parse(request: Request, kind: Kind, row: Resource) -> Selection:
    """The selection of a request; BadRequest for selectors that cannot be read."""
    labels = parse_label_selector(request.option("labelSelector"))
    fields = parse_field_selector(request.option("fieldSelector"))
    fields.check(kind.field_labels, kind.field_label_refusal)
    if request.info.name:
        # The old /watch/ paths name one object.
        fields = FieldSelector((*fields.terms, ("metadata.name", False, request.info.name)))
    prefix = row.key_prefix + "/"
    if request.info.namespace and row.namespaced:
        prefix += request.info.namespace + "/"
    return Selection(kind, prefix, labels, fields)
