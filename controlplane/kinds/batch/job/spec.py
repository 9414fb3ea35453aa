"""The rules of a Job's spec, in Jobs and in the templates of CronJobs.

Source: pkg/apis/batch/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Items, Pointer, Shape
from controlplane.api.validation.paths import domain_prefixed_path
from controlplane.kinds.batch.job import indexes
from controlplane.kinds.core import workload

_MAX_PARALLELISM = 100_000
_MAX_FAILED_INDEXES = 100_000
_MANY_COMPLETIONS = 100_000
_LIMIT_FOR_MANY_COMPLETIONS = 10_000
_MAX_RULES = 20
_MAX_EXIT_CODES = 255
_MAX_PATTERNS = 20
_MAX_MANAGED_BY = 63
_MAX_INDEXES_BYTES = 64 * 1024
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_CONDITION_STATUSES = ("False", "True", "Unknown")
_REPLACEMENT = ("Failed", "TerminatingOrFailed")
_INDEXED_ONLY = "requires indexed completion mode"

_SUCCESS_RULE = Shape(
    (("SucceededIndexes", "succeededIndexes", None), ("SucceededCount", "succeededCount", None))
)
SUCCESS_POLICY = Shape((("Rules", "rules", Items(_SUCCESS_RULE)),))
_EXIT_CODES = Shape(
    (
        ("ContainerName", "containerName", None),
        ("Operator", "operator", ""),
        ("Values", "values", None),
    )
)
_POD_CONDITION = Shape((("Type", "type", ""), ("Status", "status", "")))
_FAILURE_RULE = Shape(
    (
        ("Action", "action", ""),
        ("OnExitCodes", "onExitCodes", Pointer(_EXIT_CODES)),
        ("OnPodConditions", "onPodConditions", Items(_POD_CONDITION)),
    )
)
FAILURE_POLICY = Shape((("Rules", "rules", Items(_FAILURE_RULE)),))


def validate_job_spec(spec: Obj, path: str) -> list[Cause]:
    """Causes in the spec but for its selector."""
    keys = (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    )
    causes = amounts.all_non_negative(path, spec, keys)
    per_index, max_failed = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    if max_failed is not None and per_index is None:
        detail = "when maxFailedIndexes is specified"
        causes.append(fields.required(f"{path}.backoffLimitPerIndex", detail))
    managed_by = spec.get("managedBy")
    if managed_by is not None:
        causes += domain_prefixed_path(f"{path}.managedBy", managed_by)
        if len(managed_by) > _MAX_MANAGED_BY:
            causes.append(fields.too_long(f"{path}.managedBy", _MAX_MANAGED_BY))
    causes += _completion_mode(spec, path)
    if spec.get("podFailurePolicy") is not None:
        causes += _failure_policy(spec, f"{path}.podFailurePolicy")
    if spec.get("successPolicy") is not None:
        causes += _success_policy(spec, f"{path}.successPolicy")
    causes += _replacement_policy(spec, f"{path}.podReplacementPolicy")
    template = spec.get("template") or {}
    causes += workload.validate_template(template, f"{path}.template")
    return causes + _restart_policy(spec, template, f"{path}.template.spec.restartPolicy")


def _completion_mode(spec: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    mode = spec.get("completionMode")
    if mode not in (None, "NonIndexed", "Indexed"):
        supported = ("NonIndexed", "Indexed")
        causes.append(fields.not_supported(f"{path}.completionMode", mode, supported))
    if mode == "Indexed":
        causes += _indexed(spec, path)
    if mode in (None, "NonIndexed"):
        causes += [
            fields.invalid(f"{path}.{key}", spec[key], _INDEXED_ONLY)
            for key in ("backoffLimitPerIndex", "maxFailedIndexes")
            if spec.get(key) is not None
        ]
    return causes


def _indexed(spec: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    completions, failed = spec.get("completions"), spec.get("maxFailedIndexes")
    parallelism = spec.get("parallelism")
    if completions is None:
        causes.append(fields.required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _MAX_PARALLELISM:
        detail = f"must be less than or equal to {_MAX_PARALLELISM} when completion mode is Indexed"
        causes.append(fields.invalid(f"{path}.parallelism", parallelism, detail))
    where = f"{path}.maxFailedIndexes"
    if completions is not None and failed is not None and failed > completions:
        causes.append(fields.invalid(where, failed, "must be less than or equal to completions"))
    if failed is not None and failed > _MAX_FAILED_INDEXES:
        detail = f"must be less than or equal to {_MAX_FAILED_INDEXES}"
        causes.append(fields.invalid(where, failed, detail))
    is_large = completions is not None and completions > _MANY_COMPLETIONS
    if is_large and spec.get("backoffLimitPerIndex") is not None:
        if failed is None:
            detail = f"must be specified when completions is above {_MANY_COMPLETIONS}"
            causes.append(fields.required(where, detail))
        for key, value in (("parallelism", parallelism), ("maxFailedIndexes", failed)):
            if value is not None and value > _LIMIT_FOR_MANY_COMPLETIONS:
                detail = (
                    f"must be less than or equal to {_LIMIT_FOR_MANY_COMPLETIONS} when "
                    f"completions are above {_MANY_COMPLETIONS} and used with backoff limit per "
                    "index"
                )
                causes.append(fields.invalid(f"{path}.{key}", value, detail))
    return causes


def _failure_policy(spec: Obj, path: str) -> list[Cause]:
    rules = spec["podFailurePolicy"].get("rules") or []
    causes: list[Cause] = []
    if len(rules) > _MAX_RULES:
        causes.append(fields.too_many(f"{path}.rules", len(rules), _MAX_RULES))
    pod = meta.spec(spec.get("template") or {})
    containers = {
        container.get("name")
        for key in ("containers", "initContainers")
        for container in pod.get(key) or ()
    }
    for index, rule in enumerate(rules):
        causes += _failure_rule(spec, rule, f"{path}.rules[{index}]", containers)
    return causes


def _failure_rule(spec: Obj, rule: Obj, path: str, containers: set[Any]) -> list[Cause]:
    causes: list[Cause] = []
    action = rule.get("action")
    if not action:
        causes.append(fields.required(f"{path}.action", _valid_values(_ACTIONS)))
    elif action == "FailIndex":
        if spec.get("backoffLimitPerIndex") is None:
            detail = "requires the backoffLimitPerIndex to be set"
            causes.append(fields.invalid(f"{path}.action", action, detail))
    elif action not in _ACTIONS:
        causes.append(fields.not_supported(f"{path}.action", action, _ACTIONS))
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        causes += _exit_codes(codes, f"{path}.onExitCodes", containers)
    if conditions:
        causes += _pod_conditions(conditions, f"{path}.onPodConditions")
    if codes is not None and conditions:
        detail = "specifying both OnExitCodes and OnPodConditions is not supported"
        causes.append(Cause(path, f"Invalid value: {detail}"))
    if codes is None and not conditions:
        detail = "specifying one of OnExitCodes and OnPodConditions is required"
        causes.append(Cause(path, f"Invalid value: {detail}"))
    return causes


def _valid_values(words: Iterable[str]) -> str:
    """A list of words as Go's %q prints a slice of them."""
    return "valid values: [" + " ".join(f'"{word}"' for word in words) + "]"


def _exit_codes(codes: Obj, path: str, containers: set[Any]) -> list[Cause]:
    causes: list[Cause] = []
    operator, values = codes.get("operator"), codes.get("values") or []
    if not operator:
        causes.append(fields.required(f"{path}.operator", _valid_values(_OPERATORS)))
    elif operator not in _OPERATORS:
        causes.append(fields.not_supported(f"{path}.operator", operator, _OPERATORS))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        detail = "must be one of the container or initContainer names in the pod template"
        causes.append(fields.invalid(f"{path}.containerName", name, detail))
    where = f"{path}.values"
    if not values:
        given = codes.get("values")
        causes.append(fields.invalid(where, given, "at least one value is required"))
    elif len(values) > _MAX_EXIT_CODES:
        causes.append(fields.too_many(where, len(values), _MAX_EXIT_CODES))
    seen: set[int] = set()
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            detail = "must not be 0 for the In operator"
            causes.append(fields.invalid(f"{where}[{index}]", value, detail))
        if value in seen:
            causes.append(fields.duplicate(f"{where}[{index}]", value))
        seen.add(value)
    if values != sorted(values):
        causes.append(fields.invalid(where, values, "must be ordered"))
    return causes


def _pod_conditions(patterns: list[Obj], path: str) -> list[Cause]:
    causes: list[Cause] = []
    if len(patterns) > _MAX_PATTERNS:
        causes.append(fields.too_many(path, len(patterns), _MAX_PATTERNS))
    for index, pattern in enumerate(patterns):
        kind, status = str(pattern.get("type") or ""), pattern.get("status")
        causes += fields.each(f"{path}[{index}].type", kind, names.qualified_name(kind))
        where = f"{path}[{index}].status"
        if not status:
            causes.append(fields.required(where, _valid_values(_CONDITION_STATUSES)))
        elif status not in _CONDITION_STATUSES:
            causes.append(fields.not_supported(where, status, _CONDITION_STATUSES))
    return causes


def _success_policy(spec: Obj, path: str) -> list[Cause]:
    policy = spec["successPolicy"]
    if spec.get("completionMode") != "Indexed":
        return [fields.invalid(path, SUCCESS_POLICY.of(policy), _INDEXED_ONLY)]
    causes: list[Cause] = []
    rules = policy.get("rules") or []
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        causes.append(fields.required(f"{path}.rules", detail))
    if len(rules) > _MAX_RULES:
        causes.append(fields.too_many(f"{path}.rules", len(rules), _MAX_RULES))
    completions = spec.get("completions") or 0
    for index, rule in enumerate(rules):
        causes += _success_rule(rule, f"{path}.rules[{index}]", completions)
    return causes


def _success_rule(rule: Obj, path: str, completions: int) -> list[Cause]:
    causes: list[Cause] = []
    wanted, count = rule.get("succeededIndexes"), rule.get("succeededCount")
    if wanted is None and count is None:
        detail = "at least one of succeededCount or succeededIndexes must be specified"
        causes.append(fields.required(path, detail))
    total = 0
    if wanted is not None:
        where = f"{path}.succeededIndexes"
        if len(wanted) > _MAX_INDEXES_BYTES:
            causes.append(fields.too_long(where, _MAX_INDEXES_BYTES))
        try:
            total = indexes.count(wanted, completions)
        except ValueError as error:
            detail = f"error parsing succeededIndexes: {error}"
            causes.append(fields.invalid(where, wanted, detail))
    if count is not None:
        where = f"{path}.succeededCount"
        causes += fields.non_negative(where, count)
        if count > completions:
            detail = (
                f"must be less than or equal to {completions} (the number of specified completions)"
            )
            causes.append(fields.invalid(where, count, detail))
        if wanted is not None and count > total:
            detail = (
                f"must be less than or equal to {total} (the number of indexes in the specified "
                "succeededIndexes field)"
            )
            causes.append(fields.invalid(where, count, detail))
    return causes


def _replacement_policy(spec: Obj, path: str) -> list[Cause]:
    policy = spec.get("podReplacementPolicy")
    supported = ("Failed",) if spec.get("podFailurePolicy") is not None else _REPLACEMENT
    if policy is None or policy in supported:
        return []
    return [fields.not_supported(path, policy, supported)]


def _restart_policy(spec: Obj, template: Obj, path: str) -> list[Cause]:
    policy = meta.spec(template).get("restartPolicy")
    if policy in (None, "", "Always"):
        return [fields.required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [fields.not_supported(path, policy, ("OnFailure", "Never"))]
    if spec.get("podFailurePolicy") is not None and policy != "Never":
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        return [fields.invalid(path, policy, detail)]
    return []
