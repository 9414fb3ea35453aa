"""POST serviceaccounts/NAME/token: a new token of the account, bound to a pod, a secret or a node if it is asked.

Source: pkg/registry/core/serviceaccount/storage/token.go.
"""

from controlplane.api import errors, meta, times
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation.causes import show
from controlplane.apiserver.admission.interface import CREATE
from controlplane.apiserver.authn.tokens.claims import Bound
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.registry.admitted import admitted
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server
from controlplane.kinds.authentication.token_request import KIND as TOKEN_REQUEST
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.secret import SECRETS

_GROUP = "authentication.k8s.io"


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Issue a token; 201 with the request and its status."""
    info, registry = request.info, server.registries[resource]
    if server.issuer is None:
        raise errors.NotFound.path()
    wanted = body.parse_object(request, TOKEN_REQUEST)
    TOKEN_REQUEST.default(wanted)
    account = await registry.get(info.namespace, info.name)
    _check_identity(wanted, account)
    spec = meta.spec(wanted)
    if not spec.get("audiences"):
        spec["audiences"] = list(server.issuer.audiences)
    fields = meta.ensure_metadata(wanted)
    fields["name"], fields["namespace"] = info.name, info.namespace
    fields["uid"] = meta.uid(account)
    fields["creationTimestamp"] = registry.now()
    wanted.pop("status", None)
    causes = TOKEN_REQUEST.validate(wanted)
    if causes:
        raise errors.Invalid.of(_GROUP, "TokenRequest", "", causes)
    context = writes.context_of(request, resource)
    await admitted(
        registry,
        context,
        CREATE,
        wanted,
        kind=TOKEN_REQUEST,
        namespace=info.namespace,
        name=info.name,
    )
    bound = await _bound(server, spec.get("boundObjectRef"), info.namespace, info.name)
    seconds, most = int(spec["expirationSeconds"]), server.config.max_token_seconds
    if most and seconds > most:
        text = f"requested expiration of {seconds} seconds shortened to {most} seconds"
        request.warnings.append(text)
        seconds = spec["expirationSeconds"] = most
    issued = server.issuer.issue(account, bound, audiences=spec["audiences"], seconds=seconds)
    status = {"token": issued.token, "expirationTimestamp": times.to_rfc3339(issued.expires_at)}
    answer = {**wanted, "status": status}
    return render.one(request, TOKEN_REQUEST, answer, server.clock, 201)


def _check_identity(wanted: Obj, account: Obj) -> None:
    name = meta.name(account)
    for field in ("name", "namespace"):
        given = meta.metadata(wanted).get(field)
        if given and given != meta.metadata(account)[field]:
            what = "namespace " if field == "namespace" else "name "
            text = (
                f"Invalid value: {show(given)}: must match the service account {what}if specified"
            )
            causes = [Cause(f"metadata.{field}", text)]
            raise errors.Invalid.of(_GROUP, "TokenRequest", name, causes)
    uid = meta.uid(wanted)
    if uid and uid != meta.uid(account):
        raise _conflict(
            "TokenRequest",
            _GROUP,
            name,
            f"the UID in the token request ({uid}) does not match the UID of the service account "
            f"({meta.uid(account)})",
        )


def _conflict(kind: str, group: str, name: str, why: str) -> errors.Conflict:
    shown = f"{kind}.{group}" if group else kind
    return errors.Conflict(
        f'Operation cannot be fulfilled on {shown} "{name}": {why}',
        name=name,
        group=group,
        kind=kind,
    )


async def _bound(server: Server, reference: Obj | None, namespace: str, account: str) -> Bound:
    """The objects that the token is to end with; refused when they are not there, or another's."""
    if reference is None:
        return Bound()
    version, kind = str(reference.get("apiVersion") or ""), str(reference.get("kind") or "")
    name, uid = str(reference.get("name") or ""), reference.get("uid")
    if "/" in version or kind not in ("Pod", "Secret", "Node"):
        group, _, plain = version.rpartition("/")
        raise errors.BadRequest(f"cannot bind token to object of type {group}/{plain}, Kind={kind}")
    node = None
    if kind == "Pod":
        found = await server.registries[PODS].get(namespace, name)
        if meta.spec(found).get("serviceAccountName") != account:
            raise errors.BadRequest(
                f"cannot bind token for serviceaccount {show(account)} to pod running with "
                "different serviceaccount name."
            )
        node_name = meta.spec(found).get("nodeName")
        if node_name:
            node = await server.lookup.find(NODES, "", node_name)
            node = node or {"metadata": {"name": node_name}}
        bound = Bound(pod=found, node=node)
    elif kind == "Secret":
        found = await server.registries[SECRETS].get(namespace, name)
        bound = Bound(secret=found)
    else:
        found = await server.registries[NODES].get("", name)
        bound = Bound(node=found)
    if uid and uid != meta.uid(found):
        raise _conflict(
            kind,
            "",
            name,
            f"the UID in the bound object reference ({uid}) does not match the UID in record. The "
            "object might have been deleted and then recreated",
        )
    return bound
