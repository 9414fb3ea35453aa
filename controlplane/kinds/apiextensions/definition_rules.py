"""What a definition of a kind may say.

The original moves what all versions have alike to the top before it looks: with one version, causes are told of
`spec.validation`, `spec.subresources` and `spec.additionalPrinterColumns`, not of `spec.versions[0]`.

Source: apiextensions-apiserver/pkg/apis/apiextensions/{validation/validation.go,v1/conversion.go}.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from controlplane.api import meta, names
from controlplane.api.conditions import is_true
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.schema.structural.field_path import find
from controlplane.api.schema.structural.node import parse
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Shape
from controlplane.api.validation.webhooks import validate_service, validate_url
from controlplane.kinds.apiextensions import schema_rules

_SCOPES = ("Cluster", "Namespaced")
_STRATEGIES = ("None", "Webhook")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_MAX_SELECTABLE = 8
_APPROVED = "api-approved.kubernetes.io"
_SELECTABLE_TYPES = ("boolean", "integer", "string")
# Of a version -> where it stands when all versions have it alike.
_SHARED = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}
_VERSION = Shape(
    (
        ("Name", "name", ""),
        ("Served", "served", False),
        ("Storage", "storage", False),
        ("Deprecated", "deprecated", False),
        ("DeprecationWarning", "deprecationWarning", None),
        ("Schema", "schema", None),
        ("Subresources", "subresources", None),
        ("AdditionalPrinterColumns", "additionalPrinterColumns", None),
        ("SelectableFields", "selectableFields", None),
    )
)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new definition."""
    spec = meta.spec(obj)
    plural, group = (spec.get("names") or {}).get("plural") or "", spec.get("group") or ""
    causes: list[Cause] = []
    wanted = f"{plural}.{group}"
    for key in ("generateName", "name"):
        given = str(meta.metadata(obj).get(key) or "")
        if given and given != wanted:
            detail = 'must be spec.names.plural+"."+spec.group'
            causes.append(fields.invalid(f"metadata.{key}", given, detail))
    causes += _approval(obj)
    if spec.get("preserveUnknownFields") and _has_defaults(spec.get("versions")):
        detail = "must be false in order to use defaults in the schema"
        causes.append(fields.invalid("spec.preserveUnknownFields", True, detail))
    causes += _spec(spec) + _stored(obj)
    if spec.get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead"
        )
        causes.append(fields.invalid("spec.preserveUnknownFields", True, detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed definition; what was wrong in the stored one in the same way is overlooked."""
    spec, before = meta.spec(new), meta.spec(old)
    known = set(_spec(before)) if before != spec else set[Cause]()
    causes = [cause for cause in _spec(spec) if cause not in known]
    kinds, old_kinds = spec.get("names") or {}, before.get("names") or {}
    lasting = [
        ("group", spec.get("group"), before.get("group")),
        ("names.plural", kinds.get("plural"), old_kinds.get("plural")),
    ]
    if is_true(old, "Established"):
        lasting = [
            ("scope", spec.get("scope"), before.get("scope")),
            ("names.kind", kinds.get("kind"), old_kinds.get("kind")),
            *lasting,
        ]
    for key, value, was in lasting:
        if (value or "") != (was or ""):
            causes.append(fields.immutable(f"spec.{key}", value or ""))
    if _approval_state(new) != _approval_state(old):
        causes += _approval(new)
    return causes + _stored(new)


def _approval_state(obj: Obj) -> str:
    """What is said of a group that belongs to Kubernetes: missing, approved, unapproved or invalid."""
    text = str(meta.annotations(obj).get(_APPROVED) or "")
    if not text:
        return "missing"
    if text.startswith("unapproved"):
        return "unapproved"
    parts = urlsplit(text)
    return "approved" if parts.scheme and parts.netloc else "invalid"


def _approval(obj: Obj) -> list[Cause]:
    group = str(meta.spec(obj).get("group") or "")
    if not any(f".{group}".endswith(end) for end in (".k8s.io", ".kubernetes.io")):
        return []
    state, where = _approval_state(obj), f"metadata.annotations[{_APPROVED}]"
    told = f'protected groups must have approval annotation "{_APPROVED}"'
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if state == "missing":
        return [fields.required(where, f"{told}, {see}")]
    if state == "invalid":
        detail = f'{told} with either a URL or a reason starting with "unapproved", {see}'
        return [fields.invalid(where, meta.annotations(obj).get(_APPROVED), detail)]
    return []


def _has_defaults(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("default") is not None or any(map(_has_defaults, value.values()))
    return isinstance(value, list) and any(map(_has_defaults, value))


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in the names that a definition got."""
    del old
    return _names("status.acceptedNames", meta.status(new).get("acceptedNames") or {})


def _spec(spec: Obj) -> list[Cause]:
    group, versions = spec.get("group") or "", spec.get("versions") or []
    problems = names.dns_subdomain(group)
    causes: list[Cause] = []
    if not group:
        causes.append(fields.required("spec.group"))
    elif problems:
        causes.append(fields.invalid("spec.group", group, ",".join(problems)))
    elif "." not in group:
        detail = "should be a domain with at least one dot"
        causes.append(fields.invalid("spec.group", group, detail))
    scope = spec.get("scope") or ""
    if not scope:
        causes.append(fields.required("spec.scope"))
    elif scope not in _SCOPES:
        causes.append(fields.not_supported("spec.scope", scope, _SCOPES))
    shared = {
        key
        for key in _SHARED
        if versions
        and all((one.get(key) or None) == (versions[0].get(key) or None) for one in versions)
    }
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            where = f"spec.versions[{index}].schema.openAPIV3Schema"
            causes.append(fields.required(where))
    for index, version in enumerate(versions):
        causes += _version(f"spec.versions[{index}]", version, shared)
    causes += _of_all(spec, versions, shared)
    kinds = spec.get("names") or {}
    for key in ("plural", "singular", "kind", "listKind"):
        if not kinds.get(key):
            causes.append(fields.required(f"spec.names.{key}"))
    causes += _names("spec.names", kinds)
    if shared:
        has_status = any(_has_status(version) for version in versions)
        first = {key: versions[0].get(key) for key in shared}
        causes += _parts("spec", first, has_status, _SHARED)
    return causes + _conversion("spec.conversion", spec.get("conversion") or {})


def _of_all(spec: Obj, versions: list[Obj], shared: set[str]) -> list[Cause]:
    """Names of versions, and the one that is stored."""
    given = spec.get("versions")
    shown = (
        None
        if given is None
        else [
            _VERSION.of({key: value for key, value in one.items() if key not in shared})
            for one in versions
        ]
    )
    known = [version.get("name") or "" for version in versions]
    causes: list[Cause] = []
    if len(set(known)) < len(known):
        detail = "must contain unique version names"
        causes.append(fields.invalid("spec.versions", shown, detail))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        causes.append(fields.invalid("spec.versions", shown, detail))
    problems = names.dns1035_label(known[0]) if known and known[0] else []
    if problems:
        causes.append(fields.invalid("spec.version", known[0], ",".join(problems)))
    return causes


def _has_status(version: Obj) -> bool:
    return (version.get("subresources") or {}).get("status") is not None


def _version(path: str, version: Obj, shared: set[str]) -> list[Cause]:
    name = version.get("name") or ""
    problems = names.dns1035_label(name)
    causes = [fields.invalid(f"{path}.name", name, ",".join(problems))] if problems else []
    warning, where = version.get("deprecationWarning"), f"{path}.deprecationWarning"
    if warning is not None:
        causes += [
            fields.invalid(where, warning, why) for why in _warning_problems(version, warning)
        ]
    own = {key: value for key, value in version.items() if key not in shared}
    return causes + _parts(path, own, _has_status(version), {key: key for key in _SHARED})


def _warning_problems(version: Obj, warning: str) -> list[str]:
    if not version.get("deprecated"):
        return ["can only be set for deprecated versions"]
    found = ["must be <= 256 characters long"] if len(warning.encode()) > 256 else []
    if not warning:
        found.append("must not be an empty string")
    bad = next((n for n, char in enumerate(warning) if not char.isprintable()), None)
    if bad is not None:
        found.append(
            "must only contain printable UTF-8 characters; non-printable character found at "
            f"index {bad}"
        )
    return found


def _parts(path: str, version: Obj, has_status: bool, places: dict[str, str]) -> list[Cause]:
    """Schema, subresources, columns and selectable fields."""
    causes: list[Cause] = []
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is not None:
        where = f"{path}.{places['schema']}.openAPIV3Schema"
        causes += schema_rules.validate(where, schema, has_status=has_status)
    scale = (version.get("subresources") or {}).get("scale")
    if scale is not None:
        causes += _scale(f"{path}.subresources.scale", scale)
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        causes += _column(f"{path}.additionalPrinterColumns[{index}]", column)
    selectable, node = version.get("selectableFields") or [], parse(schema)
    seen: set[str] = set()
    for index, row in enumerate(selectable):
        where, text = f"{path}.selectableFields[{index}].jsonPath", row.get("jsonPath") or ""
        if not text:
            causes.append(fields.required(where))
            continue
        found = find(node, text)
        if found is None:
            detail = "is an invalid path: does not refer to a valid field"
            causes.append(fields.invalid(where, text, detail))
            continue
        if text.startswith(".metadata"):
            detail = "must not point to fields in metadata"
            causes.append(fields.invalid(where, text, detail))
        if found.type not in _SELECTABLE_TYPES:
            detail = (
                "must point to a field of type string, boolean or integer. Enum string fields and "
                "strings with formats are allowed."
            )
            causes.append(fields.invalid(where, text, detail))
        if text in seen:
            causes.append(fields.duplicate(where, text))
        seen.add(text)
    if len(seen - {""}) > _MAX_SELECTABLE:
        where = f"{path}.selectableFields"
        causes.append(fields.too_many(where, len(seen - {""}), _MAX_SELECTABLE))
    return causes


def _simple_path(path: str, text: str, *below: str) -> list[Cause]:
    if not text.startswith("."):
        return [fields.invalid(path, text, "must be a simple json path starting with .")]
    if below and not text.startswith(tuple(f"{one}." for one in below)):
        words = " or ".join(below)
        either = "either " if len(below) > 1 else ""
        return [fields.invalid(path, text, f"should be a json path under {either}{words}")]
    return []


def _scale(path: str, scale: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key, below in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        text = scale.get(key) or ""
        if text:
            causes += _simple_path(f"{path}.{key}", text, below)
        else:
            causes.append(fields.required(f"{path}.{key}"))
    selector = scale.get("labelSelectorPath") or ""
    if selector:
        causes += _simple_path(f"{path}.labelSelectorPath", selector, ".spec", ".status")
    return causes


def _column(path: str, column: Obj) -> list[Cause]:
    sort, text = column.get("type") or "", column.get("jsonPath") or ""
    causes = [] if column.get("name") else [fields.required(f"{path}.name")]
    detail = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not sort:
        causes.append(fields.required(f"{path}.type", detail))
    elif sort not in _COLUMN_TYPES:
        causes.append(fields.invalid(f"{path}.type", sort, detail))
    form = column.get("format") or ""
    if form and form not in _FORMATS:
        detail = f"must be one of {','.join(_FORMATS)}"
        causes.append(fields.invalid(f"{path}.format", form, detail))
    if not text:
        return [*causes, fields.required(f"{path}.JSONPath")]
    return causes + _simple_path(f"{path}.JSONPath", text)


def _names(path: str, kinds: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("plural", "singular", "kind", "listKind"):
        name = kinds.get(key) or ""
        is_kind = key.lower().endswith("kind")
        problems = names.dns1035_label(name.lower() if is_kind else name) if name else []
        if problems:
            intro = "may have mixed case, but should otherwise match: " if is_kind else ""
            causes.append(fields.invalid(f"{path}.{key}", name, intro + ",".join(problems)))
    causes += _labels(f"{path}.shortNames", kinds.get("shortNames"))
    kind = kinds.get("kind") or ""
    if kind and kind == kinds.get("listKind"):
        detail = "kind and listKind may not be the same"
        causes.append(fields.invalid(f"{path}.listKind", kind, detail))
    return causes + _labels(f"{path}.categories", kinds.get("categories"))


def _labels(path: str, words: list[str] | None) -> list[Cause]:
    return [
        fields.invalid(f"{path}[{index}]", word, ",".join(problems))
        for index, word in enumerate(words or ())
        if (problems := names.dns1035_label(word))
    ]


def _conversion(path: str, conversion: Obj) -> list[Cause]:
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook") or {}
    causes: list[Cause] = []
    if not strategy:
        causes.append(fields.required(f"{path}.strategy"))
    elif strategy not in _STRATEGIES:
        causes.append(fields.not_supported(f"{path}.strategy", strategy, _STRATEGIES))
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    where = f"{path}.webhookClientConfig"
    if strategy == "Webhook":
        if client is None:
            detail = "required when strategy is set to Webhook"
            causes.append(fields.required(where, detail))
        else:
            causes += _client(where, client)
        return causes + _review_versions(f"{path}.conversionReviewVersions", versions)
    detail = "should not be set when strategy is not set to Webhook"
    if client is not None:
        causes.append(fields.forbidden(where, detail))
    if versions:
        causes.append(fields.forbidden(f"{path}.conversionReviewVersions", detail))
    return causes


def _client(path: str, client: Obj) -> list[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [fields.required(path, "exactly one of url or service is required")]
    if url is not None:
        return validate_url(url, f"{path}.url")
    return validate_service(service or {}, f"{path}.service")


def _review_versions(path: str, versions: list[str]) -> list[Cause]:
    if not versions:
        return [fields.required(path)]
    causes: list[Cause] = []
    for index, version in enumerate(versions):
        where = f"{path}[{index}]"
        if version in versions[:index]:
            causes.append(fields.invalid(where, version, "duplicate version"))
            continue
        causes += fields.each(where, version, names.dns1035_label(version))
    if not set(versions) & set(_REVIEW_VERSIONS):
        detail = f"must include at least one of {', '.join(_REVIEW_VERSIONS)}"
        causes.append(fields.invalid(path, versions, detail))
    return causes


def _stored(obj: Obj) -> list[Cause]:
    """The versions in which objects may be stored are all there."""
    stored, path = meta.status(obj).get("storedVersions") or [], "status.storedVersions"
    if not stored:
        return [fields.invalid(path, None, "must have at least one stored version")]
    versions = meta.spec(obj).get("versions") or ()
    left = dict.fromkeys(stored)
    causes: list[Cause] = []
    for version in versions:
        name = version.get("name") or ""
        if version.get("storage") and name not in left:
            detail = f"must have the storage version {name}"
            causes.append(fields.invalid(path, stored, detail))
        left.pop(name, None)
    for name in left:
        detail = (
            f"missing from spec.versions; {name} was previously a storage version, and must remain "
            f"in spec.versions until a storage migration ensures no data remains persisted in {name} "
            f"and removes {name} from status.storedVersions"
        )
        causes.append(fields.invalid(f"{path}[{stored.index(name)}]", name, detail))
    return causes
