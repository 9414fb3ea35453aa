"""`quorate ctl`: a small kubectl for people who have none yet.

Talks to the API as any client: tables are the server's, `apply` is server-side apply, errors are the server's words.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from cli.state import StateOption, fail, layout_of, run
from controlplane.api.errors import APIError, NotFound
from controlplane.api.resource import Resource
from controlplane.client.kubeconfig import KubeconfigError
from controlplane.client.rest import RestClient, collection_path, object_path
from controlplane.client.transport import Request, TransportError
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.pod.resource import PODS

app = typer.Typer(no_args_is_help=True, help="A small kubectl.")

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
APPLY = "application/apply-patch+yaml"

NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="The namespace.")]
FileOption = Annotated[
    list[str] | None,
    typer.Option("--filename", "-f", help="YAML or JSON file, or - for standard input."),
]


def client_of(state: Path | None) -> RestClient:
    """A client as the administrator of the cluster in this state folder."""
    layout = layout_of(state)
    try:
        return RestClient.from_kubeconfig(layout.kubeconfig, user_agent="quorate-ctl")
    except KubeconfigError:
        fail(f"no kubeconfig in {layout.state_dir}: start a cluster with `quorate up`", 3)


def call(state: Path | None, work: Callable[[RestClient], Awaitable[None]]) -> None:
    """Run `work` with a client; the server's errors in kubectl's words, exit code 1."""

    async def inner() -> None:
        client = client_of(state)
        try:
            await work(client)
        finally:
            await client.transport.close()

    try:
        run(inner())
    except APIError as error:
        status = error.status()
        typer.echo(f"Error from server ({status.get('reason')}): {status.get('message')}", err=True)
        raise typer.Exit(1) from None
    except TransportError as error:
        fail(f"no API server answers: {error}")


def find(word: str) -> Resource:
    """The kind a person means."""
    resource = SCHEME.find(word)
    if resource is None:
        known = ", ".join(sorted({row.plural for row in SCHEME.all()}))
        fail(f'the server doesn\'t have a resource type "{word}"; it has {known}', 2)
    return resource


def targets(words: list[str]) -> list[tuple[Resource, str]]:
    """`pods`, `pods,deploy`, `pod NAME…`, `deploy/NAME …` -> (kind, name or "")."""
    if not words:
        fail("name a resource, e.g. pods or deployment/web", 2)
    if any("/" in word for word in words):
        pairs = [word.partition("/") for word in words]
        return [(find(kind), name) for kind, _, name in pairs]
    kinds = [find(kind) for kind in words[0].split(",")]
    if len(words) == 1:
        return [(kind, "") for kind in kinds]
    return [(kind, name) for kind in kinds for name in words[1:]]


@app.command()
def get(
    what: Annotated[list[str], typer.Argument(help="pods, deploy/web, pods,rs …")],
    namespace: NamespaceOption = "default",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="wide, json, yaml or name")] = "",
    selector: Annotated[str, typer.Option("--selector", "-l", help="Label selector.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Then print changes.")] = False,
    state: StateOption = None,
) -> None:
    """Show objects, as tables made by the server."""
    if output not in ("", "wide", "json", "yaml", "name"):
        fail(f"-o {output}: expected wide, json, yaml or name", 2)

    async def work(client: RestClient) -> None:
        chosen = targets(what)
        for at, (resource, name) in enumerate(chosen):
            scope = "" if everywhere else namespace
            if at:
                typer.echo()
            await _show(
                client, resource, name, scope, output, selector, watch, many=len(chosen) > 1
            )

    call(state, work)


async def _show(
    client: RestClient,
    resource: Resource,
    name: str,
    namespace: str,
    output: str,
    selector: str,
    watch: bool,
    *,
    many: bool,
) -> None:
    path = object_path(resource, namespace, name) if name else collection_path(resource, namespace)
    query = (("labelSelector", selector),) if selector else ()
    accept = TABLE if output in ("", "wide") else "application/json"
    document = await send(client, Request("GET", path, query, accept=accept))
    if output == "json":
        typer.echo(json.dumps(document, indent=4))
    elif output == "yaml":
        typer.echo(yaml.safe_dump(document, sort_keys=False), nl=False)
    elif output == "name":
        for item in document.get("items", [document]):
            typer.echo(f"{resource.singular}/{item['metadata']['name']}")
    else:
        prefix = (
            f"{resource.singular}{'.' + resource.group if resource.group else ''}/" if many else ""
        )
        print_table(
            document,
            wide=output == "wide",
            namespaced=not namespace and resource.namespaced,
            prefix=prefix,
        )
    if watch:
        await _watch(client, resource, name, namespace, selector, document, output)


def print_table(
    table: dict[str, Any], *, wide: bool, namespaced: bool, prefix: str = "", header: bool = True
) -> None:
    """A metav1.Table in kubectl's columns; NAMESPACE first when all namespaces were asked for."""
    columns = [
        (at, column["name"].upper())
        for at, column in enumerate(table.get("columnDefinitions") or ())
        if wide or not column.get("priority")
    ]
    rows = []
    for row in table.get("rows") or ():
        cells = [
            str("<none>" if row["cells"][at] is None else row["cells"][at]) for at, _ in columns
        ]
        if cells:
            cells[0] = prefix + cells[0]
        if namespaced:
            cells.insert(0, row.get("object", {}).get("metadata", {}).get("namespace", ""))
        rows.append(cells)
    if not rows:
        if header:
            typer.echo("No resources found.", err=True)
        return
    names = [name for _, name in columns]
    if namespaced:
        names.insert(0, "NAMESPACE")
    lines = [names, *rows] if header else rows
    widths = [max(len(line[at]) for line in [names, *rows]) for at in range(len(names))]
    for line in lines:
        typer.echo("   ".join(cell.ljust(widths[at]) for at, cell in enumerate(line)).rstrip())


async def _watch(
    client: RestClient,
    resource: Resource,
    name: str,
    namespace: str,
    selector: str,
    shown: dict[str, Any],
    output: str,
) -> None:
    version = shown.get("metadata", {}).get("resourceVersion", "")
    query = [("watch", "true"), ("resourceVersion", version)]
    if selector:
        query.append(("labelSelector", selector))
    if name:
        query.append(("fieldSelector", f"metadata.name={name}"))
    accept = TABLE if output in ("", "wide") else "application/json"
    request = Request("GET", collection_path(resource, namespace), tuple(query), accept=accept)
    columns: list[Any] = shown.get("columnDefinitions") or []
    async with client.transport.stream(request) as stream:
        async for line in stream.lines():
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise APIError.from_status(event["object"])
            if accept != TABLE:
                typer.echo(json.dumps(event["object"], indent=4))
                continue
            table = event["object"]
            table["columnDefinitions"] = table.get("columnDefinitions") or columns
            print_table(
                table,
                wide=output == "wide",
                namespaced=not namespace and resource.namespaced,
                header=False,
            )


async def send(client: RestClient, request: Request) -> dict[str, Any]:
    """One request with its own Accept or query; raises APIError."""
    response = await client.transport.send(request)
    document: dict[str, Any] = json.loads(response.body or b"{}")
    if response.status >= 400:
        raise APIError.from_status(document)
    return document


def read_manifests(files: list[str]) -> list[dict[str, Any]]:
    """All objects in the files, Lists taken apart; exit code 2 on what is not an object."""
    objects: list[dict[str, Any]] = []
    for file in files:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
            documents = [document for document in yaml.safe_load_all(text) if document is not None]
        except (OSError, yaml.YAMLError) as error:
            fail(f"{file}: {error}", 2)
        for document in documents:
            if not isinstance(document, dict) or "kind" not in document:
                fail(f"{file}: Object 'Kind' is missing", 2)
            objects += document["items"] if document["kind"] == "List" else [document]
    if not objects:
        fail("no objects: give a file with -f", 2)
    return objects


def _row(manifest: dict[str, Any]) -> Resource:
    version, kind = str(manifest.get("apiVersion", "")), str(manifest["kind"])
    resource = SCHEME.by_kind(version, kind)
    if resource is None:
        hints = [row.group_version for row in SCHEME.all() if row.kind == kind]
        hint = f" (it is served as {', '.join(hints)})" if hints else ""
        fail(f'no matches for kind "{kind}" in version "{version}"{hint}', 1)
    return resource


@app.command()
def apply(
    filename: FileOption = None, namespace: NamespaceOption = "default", state: StateOption = None
) -> None:
    """Create or change objects by server-side apply."""
    manifests = read_manifests(filename or [])
    rows = [_row(manifest) for manifest in manifests]

    async def work(client: RestClient) -> None:
        for resource, manifest in zip(rows, manifests, strict=True):
            await apply_one(client, resource, manifest, namespace)

    call(state, work)


async def apply_one(
    client: RestClient, resource: Resource, manifest: dict[str, Any], namespace: str
) -> dict[str, Any]:
    """Apply one object and say what became of it."""
    metadata = manifest.get("metadata") or {}
    name, scope = metadata.get("name", ""), metadata.get("namespace") or namespace
    path = object_path(resource, scope, name)
    try:
        before: dict[str, Any] | None = await send(client, Request("GET", path))
    except NotFound:
        before = None
    after = await send(
        client,
        Request(
            "PATCH",
            path,
            (("fieldManager", "quorate-ctl"), ("fieldValidation", "Strict")),
            body=json.dumps(manifest).encode(),
            content_type=APPLY,
        ),
    )
    same = before is not None and (
        before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
    )
    what = "created" if before is None else "unchanged" if same else "configured"
    typer.echo(f"{resource.singular}{'.' + resource.group if resource.group else ''}/{name} {what}")
    return after


@app.command()
def delete(
    what: Annotated[list[str] | None, typer.Argument(help="deploy/web, pod NAME …")] = None,
    filename: FileOption = None,
    namespace: NamespaceOption = "default",
    grace: Annotated[int | None, typer.Option("--grace-period", help="Seconds.")] = None,
    wait: Annotated[bool, typer.Option(help="Until they are gone.")] = True,
    state: StateOption = None,
) -> None:
    """Delete objects and wait until they are gone."""
    chosen: list[tuple[Resource, str, str]] = []
    for manifest in read_manifests(filename) if filename else ():
        metadata = manifest.get("metadata") or {}
        chosen.append(
            (_row(manifest), metadata.get("name", ""), metadata.get("namespace") or namespace)
        )
    for resource, name in targets(what) if what else ():
        if not name:
            fail("name the object: `delete pod NAME` or `delete pod/NAME`", 2)
        chosen.append((resource, name, namespace))
    if not chosen:
        fail("nothing to delete: name objects or give -f", 2)

    async def work(client: RestClient) -> None:
        for resource, name, scope in chosen:
            await client.delete(
                resource, name, scope, grace_period_seconds=grace, propagation_policy="Background"
            )
            typer.echo(f'{resource.singular} "{name}" deleted')
        for resource, name, scope in chosen if wait else ():
            await wait_gone(client, resource, name, scope)

    call(state, work)


async def wait_gone(client: RestClient, resource: Resource, name: str, namespace: str) -> None:
    """Poll until the object is not found."""
    while True:
        try:
            await client.get(resource, name, namespace)
        except NotFound:
            return
        await asyncio.sleep(0.1)


@app.command()
def scale(
    what: Annotated[str, typer.Argument(help="deployment/web")],
    replicas: Annotated[int, typer.Option(min=0)],
    namespace: NamespaceOption = "default",
    state: StateOption = None,
) -> None:
    """Set the number of replicas."""
    [(resource, name)] = targets([what])
    if not name or resource.subresource("scale") is None:
        fail(f"{what}: expected deployment/NAME or replicaset/NAME", 2)

    async def work(client: RestClient) -> None:
        path = object_path(resource, namespace, name, "scale")
        body = json.dumps({"spec": {"replicas": replicas}}).encode()
        await send(
            client, Request("PATCH", path, body=body, content_type="application/merge-patch+json")
        )
        typer.echo(
            f"{resource.singular}{'.' + resource.group if resource.group else ''}/{name} scaled"
        )

    call(state, work)


@app.command()
def logs(
    pod: str,
    namespace: NamespaceOption = "default",
    container: Annotated[str, typer.Option("--container", "-c")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
    tail: Annotated[int, typer.Option(help="Only the last N lines; -1 = all.")] = -1,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the instance before.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Print a container's log."""
    query = [("container", container)] if container else []
    query += [("follow", "true")] if follow else []
    query += [("previous", "true")] if previous else []
    query += [("tailLines", str(tail))] if tail >= 0 else []
    resource = PODS

    async def work(client: RestClient) -> None:
        path = object_path(resource, namespace, pod.removeprefix("pod/"), "log")
        async with client.transport.stream(
            Request("GET", path, tuple(query), accept="*/*")
        ) as stream:
            if stream.status >= 400:
                raise APIError.from_status(json.loads(await stream.read()))
            async for line in stream.lines():
                sys.stdout.buffer.write(line + b"\n")
                sys.stdout.buffer.flush()

    call(state, work)


@app.command()
def events(
    namespace: NamespaceOption = "default",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w")] = False,
    state: StateOption = None,
) -> None:
    """What happened lately."""
    get(["events"], namespace, everywhere, "", "", watch, state)
