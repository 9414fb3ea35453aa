"""What all writing requests have in common: dry run, field manager, delete options."""

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.schema import strict
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.http import negotiate
from controlplane.apiserver.http.messages import Request
from controlplane.apiserver.requests import body
from controlplane.apiserver.requests.context import WriteContext

_OPTIONS_KINDS = {
    "create": "CreateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}
_PROPAGATIONS = ("Background", "Foreground", "Orphan")


def context_of(request: Request, resource: Resource, *, subresource: str = "") -> WriteContext:
    """The circumstances of a write."""
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


def manager_of(request: Request) -> str:
    """`fieldManager`, or what stands first in the User-Agent, as upstream guesses it."""
    agent = request.headers.get("user-agent", "").partition("/")[0]
    return request.option("fieldManager") or agent or "unknown"


def is_dry_run(values: list[str]) -> bool:
    """Whether `dryRun` says so; BadRequest for what it cannot say."""
    if not values or values == [""]:
        return False
    if any(value != "All" for value in values):
        raise errors.BadRequest(f"Invalid value: {values}: dryRun only supports All")
    return True


def delete_options(request: Request) -> DeleteOptions:
    """DeleteOptions from the body, else from the query."""
    options: Obj = {}
    if request.body.strip():
        media_type = negotiate.body_type(request.headers.get("content-type", ""))
        if media_type == negotiate.PROTOBUF:
            value, _ = body.parse(request)
        else:
            value, _ = strict.loads(request.body)
        options = value if isinstance(value, dict) else {}
    return options_from(options, request)


def options_from(options: Obj, request: Request) -> DeleteOptions:
    """DeleteOptions out of their JSON form, completed from the query."""
    preconditions = options.get("preconditions") or {}
    propagation = options.get("propagationPolicy") or request.option("propagationPolicy")
    if propagation and propagation not in _PROPAGATIONS:
        raise errors.BadRequest(
            f'DeleteOptions is invalid: propagationPolicy: Unsupported value: "{propagation}"'
        )
    orphans = options.get("orphanDependents")
    if orphans is None and "orphanDependents" in request.query:
        orphans = request.flag("orphanDependents")
    if orphans is not None and not propagation:
        propagation = "Orphan" if orphans else "Background"
    return DeleteOptions(
        grace_seconds=_grace(options, request),
        propagation=propagation,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        is_dry_run=is_dry_run(options.get("dryRun") or request.query.get("dryRun", [])),
    )


def _grace(options: Obj, request: Request) -> int | None:
    value = options.get("gracePeriodSeconds")
    if value is None:
        value = request.option("gracePeriodSeconds") or None
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise errors.BadRequest(f"invalid gracePeriodSeconds {value!r}") from error
