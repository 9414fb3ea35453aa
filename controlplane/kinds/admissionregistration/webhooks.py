"""What both configurations of webhooks share.

A stored configuration that broke a rule before there was one stays writable.
Source: pkg/apis/admissionregistration/validation/validation.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.api.validation.paths import fully_qualified_name
from controlplane.api.validation.selector import validate_selector
from controlplane.api.validation.webhooks import default_client, validate_client
from controlplane.kinds.admissionregistration import matching

_SIDE_EFFECTS = ("None", "NoneOnDryRun", "Some", "Unknown")
_HARMLESS = ("None", "NoneOnDryRun")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_MAX_SECONDS = 30


@dataclass(frozen=True, slots=True)
class _Leniency:
    """What is overlooked because the stored configuration has it already."""

    side_effects: bool = False
    versions: bool = False
    names: bool = False
    label_values: bool = False
    conditions: bool = False


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    for hook in obj.get("webhooks") or ():
        if not isinstance(hook, dict):
            continue
        if hook.get("failurePolicy") is None:
            hook["failurePolicy"] = "Fail"
        matching.default_selection(hook)
        if hook.get("timeoutSeconds") is None:
            hook["timeoutSeconds"] = 10
        matching.default_rules(hook.get("rules"))
        default_client(hook.get("clientConfig"))


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new configuration."""
    return _validate(obj, _Leniency())


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed configuration."""
    hooks, before = new.get("webhooks") or [], old.get("webhooks") or []
    hook_names = [hook.get("name") or "" for hook in before]
    leniency = _Leniency(
        side_effects=any(hook.get("sideEffects") not in _HARMLESS for hook in before),
        versions=any(_has_only_unknown_versions(hook) for hook in before),
        names=len(set(hook_names)) < len(hook_names),
        label_values=any(_selectors(hook, "", is_lenient=False) for hook in before),
        conditions=[hook.get("matchConditions") or [] for hook in hooks]
        == [hook.get("matchConditions") or [] for hook in before],
    )
    return _validate(new, leniency)


def _has_only_unknown_versions(hook: Obj) -> bool:
    versions = hook.get("admissionReviewVersions") or []
    return bool(versions) and not set(versions) & set(_REVIEW_VERSIONS)


def _validate(obj: Obj, leniency: _Leniency) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        where, name = f"webhooks[{index}]", hook.get("name") or ""
        causes += _hook(hook, where, leniency)
        causes += _versions(hook, f"{where}.admissionReviewVersions", leniency)
        if name and name in seen and not leniency.names:
            causes.append(fields.duplicate(f"{where}.name", name))
        seen.add(name)
    return causes


def _hook(hook: Obj, path: str, leniency: _Leniency) -> list[Cause]:
    causes = fully_qualified_name(f"{path}.name", hook.get("name") or "")
    for index, rule in enumerate(hook.get("rules") or ()):
        causes += matching.validate_rule(rule, f"{path}.rules[{index}]")
    effects = _SIDE_EFFECTS if leniency.side_effects else _HARMLESS
    causes += _word(hook, "failurePolicy", matching.FAILURE_POLICIES, path)
    causes += _word(hook, "matchPolicy", matching.MATCH_POLICIES, path)
    if hook.get("sideEffects") is None:
        detail = f"must specify one of {', '.join(effects)}"
        causes.append(fields.required(f"{path}.sideEffects", detail))
    causes += _word(hook, "sideEffects", effects, path)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= _MAX_SECONDS:
        detail = f"the timeout value must be between 1 and {_MAX_SECONDS} seconds"
        causes.append(fields.invalid(f"{path}.timeoutSeconds", seconds, detail))
    causes += _selectors(hook, path, is_lenient=leniency.label_values)
    # Only webhooks that change objects have the field.
    causes += _word(hook, "reinvocationPolicy", matching.REINVOCATION_POLICIES, path)
    causes += validate_client(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    if not leniency.conditions:
        where = f"{path}.matchConditions"
        causes += matching.validate_conditions(hook.get("matchConditions"), where, has_params=False)
    return causes


def _selectors(hook: Obj, path: str, *, is_lenient: bool) -> list[Cause]:
    return [
        cause
        for key in ("namespaceSelector", "objectSelector")
        for cause in validate_selector(
            hook.get(key), f"{path}.{key}", allows_invalid_values=is_lenient
        )
    ]


def _word(hook: Obj, key: str, known: tuple[str, ...], path: str) -> list[Cause]:
    word = hook.get(key)
    if word is None or word in known:
        return []
    return [fields.not_supported(f"{path}.{key}", word, known)]


def _versions(hook: Obj, path: str, leniency: _Leniency) -> list[Cause]:
    versions, known = hook.get("admissionReviewVersions") or [], ", ".join(_REVIEW_VERSIONS)
    if not versions:
        return [fields.required(path, f"must specify one of {known}")]
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, version in enumerate(versions):
        where = f"{path}[{index}]"
        if version in seen:
            causes.append(fields.invalid(where, version, "duplicate version"))
            continue
        seen.add(version)
        causes += fields.each(where, version, names.dns1035_label(version))
    if not leniency.versions and not seen & set(_REVIEW_VERSIONS):
        detail = f"must include at least one of {known}"
        causes.append(fields.invalid(path, versions, detail))
    return causes


def _count(obj: Obj, now: float) -> int:
    return len(obj.get("webhooks") or ())


COLUMNS = (
    NAME,
    Column("Webhooks", _count, type="integer", description="How many webhooks it has."),
    AGE,
)


class ConfigurationStrategy(SpecStrategy):
    """The rules of configurations and policies."""

    allows_unconditional_update = False
