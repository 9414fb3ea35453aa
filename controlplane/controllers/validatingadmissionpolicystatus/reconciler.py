"""Checks the types in expressions of ValidatingAdmissionPolicies, and tells in their status what does not fit.

Source: pkg/controller/validatingadmissionpolicystatus.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.cel import type_checking
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.schema import builtin
from controlplane.api.schema.builtin import Schema
from controlplane.client.rest_mapper import RestMapper
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import to_itself
from controlplane.controllers.validatingadmissionpolicystatus import plan
from controlplane.kinds.admissionregistration.validating_admission_policy import (
    VALIDATING_ADMISSION_POLICIES,
)
from controlplane.kinds.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS

_NAME = "validatingadmissionpolicy-status-controller"
_MANAGER = "validatingadmissionpolicy-status"
_METADATA = {"$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}


class PolicyStatus:
    """Checks one policy."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._reader = context.reader
        self._kinds: RestMapper = context.kinds
        self._policies = context.informers.of(VALIDATING_ADMISSION_POLICIES).indexer

    async def reconcile(self, key: Key) -> Result:
        """Check a policy that was written since it was checked last."""
        policy = self._policies.get(key.name)
        if policy is None or not plan.is_due(policy):
            return Result.done()
        warnings = await self._warnings(policy)
        status: Obj = {
            "observedGeneration": meta.generation(policy),
            "typeChecking": {"expressionWarnings": warnings} if warnings else {},
        }
        await self._client.apply(
            VALIDATING_ADMISSION_POLICIES,
            {"metadata": {"name": key.name}, "status": status},
            manager=_MANAGER,
            force=True,
            subresource="status",
        )
        return Result.done()

    async def _warnings(self, policy: Obj) -> list[Obj]:
        rows = plan.kinds_to_check(policy, self._kinds.all())
        wanted = meta.spec(policy).get("paramKind")
        param_row = None
        if wanted is not None:
            param_row = await self._kinds.find(str(wanted["apiVersion"]), str(wanted["kind"]))
        crds = await self._definitions([*rows, *([param_row] if param_row else [])])
        types = [
            (plan.shown(row), schema) for row in rows if (schema := _schema(row, crds)) is not None
        ]
        params = _schema(param_row, crds) if param_row is not None else None
        return type_checking.warnings(meta.spec(policy), types, params)

    async def _definitions(self, rows: list[Resource]) -> list[Obj]:
        """The definitions of custom resources, when one of the kinds may be one."""
        if all(builtin.schema_for(row.group_version, row.kind) for row in rows):
            return []
        return (await self._reader.list_all(CUSTOM_RESOURCE_DEFINITIONS)).items


def _schema(row: Resource, crds: list[Obj]) -> Schema | None:
    found = builtin.schema_for(row.group_version, row.kind)
    if found is not None:
        return found
    raw = plan.custom_schema(crds, row)
    if raw is None:
        return None
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        **(raw.get("properties") or {}),
        "metadata": _METADATA,
    }
    return Schema(builtin.registry(), {**raw, "type": "object", "properties": properties})


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    checker = PolicyStatus(context)
    return Controller(_NAME, (Watch(VALIDATING_ADMISSION_POLICIES, to_itself),), checker)


DESCRIPTOR = Descriptor(
    _NAME,
    _build,
    (VALIDATING_ADMISSION_POLICIES,),
    NoOptions,
    aliases=("validatingadmissionpolicy-status",),
)
