"""What all writing requests have in common: dry run, field manager, delete options."""

import dataclasses

from controlplane.api import errors
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.schema import messages, normal
from controlplane.api.schema.values import MalformedError
from controlplane.api.strategy import DeleteOptions
from controlplane.api.validation import causes as validation
from controlplane.apiserver.http import negotiate
from controlplane.apiserver.http.messages import Request
from controlplane.apiserver.requests import body
from controlplane.apiserver.requests.context import WriteContext
from controlplane.apiserver.requests.integers import integer

_OPTIONS_KINDS = {
    "create": "CreateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}
APPLY_PATCH = "application/apply-patch+yaml"
_PROPAGATIONS = ("Background", "Foreground", "Orphan")
_VALIDATIONS = ("", "Ignore", "Warn", "Strict")
_LONGEST_MANAGER = 128


def context_of(request: Request, resource: Resource, *, subresource: str = "") -> WriteContext:
    """The circumstances of a write; Invalid for options that none has."""
    kind = _OPTIONS_KINDS.get(request.info.verb, "UpdateOptions")
    if kind != "DeleteOptions":
        content_type = negotiate.body_type(request.headers.get("content-type", ""))
        _checked(request, kind, is_apply=content_type == APPLY_PATCH)
    return WriteContext(
        api_version=resource.group_version,
        user=request.user,
        manager=manager_of(request),
        subresource=subresource or request.info.subresource,
        is_dry_run=is_dry_run(request.query.get("dryRun", [])),
        options=_options(request),
        warnings=request.warnings,
        annotations=request.annotations,
    )


def connection_of(request: Request, resource: Resource) -> WriteContext:
    """The circumstances of a connection: it writes nothing and has no options of a write."""
    return WriteContext(
        api_version=resource.group_version,
        user=request.user,
        subresource=request.info.subresource,
        warnings=request.warnings,
        annotations=request.annotations,
    )


def _options(request: Request) -> Obj:
    """The options of a write as an object, which is how admission plugins and webhooks are told them."""
    kind = _OPTIONS_KINDS.get(request.info.verb, "UpdateOptions")
    options: Obj = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    for name in ("fieldManager", "fieldValidation"):
        if name in request.query:
            options[name] = request.option(name)
    if request.query.get("dryRun"):
        options["dryRun"] = request.query["dryRun"]
    if request.flag("force"):
        options["force"] = True
    return options


def _checked(request: Request, kind: str, *, is_apply: bool) -> None:
    """Refuse options that no write has, in the order and words of the original."""
    causes: list[Cause] = []
    manager = request.option("fieldManager")
    if kind == "PatchOptions":
        if is_apply and not manager:
            causes.append(validation.required("fieldManager", "is required for apply patch"))
        if not is_apply and "force" in request.query:
            detail = "may not be specified for non-apply patch"
            causes.append(validation.forbidden("force", detail))
    causes += _manager_causes(manager)
    causes += _dry_run_causes(request.query.get("dryRun", []))
    mode = request.option("fieldValidation")
    if mode not in _VALIDATIONS:
        causes.append(validation.not_supported("fieldValidation", mode, sorted(_VALIDATIONS)))
    if causes:
        raise errors.Invalid.of("meta.k8s.io", kind, "", causes)


def _manager_causes(manager: str) -> list[Cause]:
    causes = []
    if len(manager.encode()) > _LONGEST_MANAGER:
        causes.append(validation.too_long("fieldManager", _LONGEST_MANAGER))
    for place, letter in enumerate(manager):
        if not letter.isprintable():
            shown = "".join(one if one.isprintable() else _escaped(one) for one in manager)
            text = f"invalid character U+{ord(letter):04X} (at position {place})"
            causes.append(Cause("fieldManager", f'Invalid value: "{shown}": {text}'))
    return causes


def _escaped(letter: str) -> str:
    named = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return named.get(letter) or (
        f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}"
    )


def _dry_run_causes(values: list[str]) -> list[Cause]:
    if all(value == "All" for value in values):
        return []
    return [validation.not_supported("dryRun", values, ["All"])]


def manager_of(request: Request) -> str:
    """`fieldManager`, or what stands first in the User-Agent, as upstream guesses it."""
    agent = request.headers.get("user-agent", "").partition("/")[0]
    shown = "".join(letter for letter in agent if letter.isprintable())
    return request.option("fieldManager") or shown[:_LONGEST_MANAGER] or "unknown"


def is_dry_run(values: list[str]) -> bool:
    """Whether `dryRun` says so."""
    return "All" in values


def delete_options(request: Request) -> DeleteOptions:
    """DeleteOptions from the body, else from the query."""
    options: Obj = {}
    if request.body.strip():
        value, _ = body.parse(request)
        if isinstance(value, dict):
            options = _typed(value)
    elif request.query:
        options = _from_query(request)
    return options_from(options, request)


def delete_context(request: Request, resource: Resource, options: DeleteOptions) -> WriteContext:
    """The circumstances of a deletion, whose options may have come in the body."""
    context = context_of(request, resource)
    shown = context.options
    for name, value in (
        ("gracePeriodSeconds", options.grace_seconds),
        ("propagationPolicy", options.propagation or None),
        ("dryRun", ["All"] if options.is_dry_run else None),
    ):
        if value is not None:
            shown[name] = value
    preconditions = {
        name: value
        for name, value in (("uid", options.uid), ("resourceVersion", options.resource_version))
        if value is not None
    }
    if preconditions:
        shown["preconditions"] = preconditions
    return dataclasses.replace(
        context,
        is_dry_run=options.is_dry_run,
        is_collection=request.info.verb == "deletecollection",
    )


def _typed(value: Obj) -> Obj:
    """A body as DeleteOptions."""
    given = (value.get("apiVersion", ""), value.get("kind") or "DeleteOptions")
    if given[1] != "DeleteOptions":
        raise errors.BadRequest(
            f'no kind "{given[1]}" is registered for version "{given[0]}" in scheme '
            '"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"'
        )
    try:
        return normal.normalize(value, normal.compiled(messages.META + "DeleteOptions"))[0]
    except MalformedError as error:
        version = str(given[0]).rpartition("/")[2]
        raise errors.BadRequest(
            f'DeleteOptions in version "{version}" cannot be handled as a DeleteOptions: {error}'
        ) from None


def _from_query(request: Request) -> Obj:
    options: Obj = {}
    grace = integer(request, "gracePeriodSeconds")
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    if request.option("propagationPolicy"):
        options["propagationPolicy"] = request.option("propagationPolicy")
    if "orphanDependents" in request.query:
        options["orphanDependents"] = request.flag("orphanDependents")
    if "dryRun" in request.query:
        options["dryRun"] = list(request.query["dryRun"])
    return options


def options_from(options: Obj, request: Request) -> DeleteOptions:
    """DeleteOptions out of their JSON form; Invalid for what they cannot say."""
    preconditions = options.get("preconditions") or {}
    propagation, orphans = options.get("propagationPolicy"), options.get("orphanDependents")
    causes: list[Cause] = []
    if propagation is not None and orphans is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(validation.invalid("propagationPolicy", propagation, detail))
    if propagation is not None and propagation not in _PROPAGATIONS:
        allowed = ("Foreground", "Background", "Orphan", "nil")
        causes.append(validation.not_supported("propagationPolicy", propagation, allowed))
    dry_run = options.get("dryRun") or request.query.get("dryRun", [])
    causes += _dry_run_causes(dry_run)
    if causes:
        raise errors.Invalid.of("meta.k8s.io", "DeleteOptions", "", causes)
    if orphans is not None and not propagation:
        propagation = "Orphan" if orphans else "Background"
    grace = options.get("gracePeriodSeconds")
    return DeleteOptions(
        grace_seconds=None if grace is None else int(grace),
        propagation=propagation or "",
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        is_dry_run=is_dry_run(dry_run),
    )
