"""`quorate service url` and `quorate tunnel`: how this machine reaches what runs in the cluster."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from cli.ctl import client_of
from cli.state import StateOption, fail, layout_of, run
from controlplane.api import meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.client.rest import RestClient
from controlplane.local.low_ports import first_port, port_instead
from controlplane.proxy.frontends import Frontend, balancer_addresses
from kvstore.base.clock import SystemClock
from kvstore.base.ports import free_port

_HOST = "127.0.0.1"

service = typer.Typer(no_args_is_help=True, help="How this machine reaches Services.")

_Name = Annotated[str, typer.Argument(help="The Service.")]
_Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.add_typer(service, name="service")
    app.command()(tunnel)


@service.callback()
def _group() -> None:
    pass


@service.command()
def url(name: _Name, namespace: _Namespace = "default", state: StateOption = None) -> None:
    """Print where a Service is reached from this machine, a line a port."""
    found = run(_find(state, namespace, name))
    lines = urls(found, first_port())
    if not lines:
        kind = meta.spec(found).get("type")
        fail(
            f"{namespace}/{name} is reached inside of the cluster only (type {kind}): open a way to it with "
            f"`quorate tunnel {name}`, or give it the type NodePort or LoadBalancer"
        )
    for line in lines:
        typer.echo(line)


def urls(found: Obj, first: int = 1) -> list[str]:
    """Where the machine reaches a Service: at its balancer's addresses, else at its node ports.

    `first` is the first port that the cluster's user may listen at.
    """
    spec, ports = meta.spec(found), meta.spec(found).get("ports") or ()
    addresses = balancer_addresses(found, proxied=True)
    places = [
        (address, port, port_instead(int(port["port"]), first))
        for address in addresses
        for port in ports
    ]
    if spec.get("type") in ("NodePort", "LoadBalancer") and not places:
        places = [(_HOST, port, int(port["nodePort"])) for port in ports if port.get("nodePort")]
    return [f"{_scheme(port)}://{address}:{number}" for address, port, number in places]


def _scheme(port: Mapping[str, Any]) -> str:
    if port.get("protocol") == "UDP":
        return "udp"
    said = f"{port.get('appProtocol') or ''} {port.get('name') or ''}".lower()
    return "https" if "https" in said or port.get("port") == 443 else "http"


def tunnel(
    name: _Name,
    ports: Annotated[
        list[str] | None,
        typer.Argument(help="[LOCAL:]PORT of the Service; default all", metavar="[[LOCAL:]PORT…]"),
    ] = None,
    namespace: _Namespace = "default",
    state: StateOption = None,
) -> None:
    """Lead ports of this machine to a Service of any type, until Ctrl-C."""
    run(_tunnel(state, namespace, name, ports or ()))


async def _tunnel(state: Any, namespace: str, name: str, asked: Sequence[str]) -> None:
    from controlplane.local.balancer.tunnel import Tunnel

    found = await _find(state, namespace, name)
    places = chosen(found, asked)
    async with _client(state) as client:
        way = Tunnel(client, layout_of(state).state_dir, found, SystemClock(), random.Random())
        try:
            async with way.opened(places):
                for number, place in places.items():
                    typer.echo(f"{_HOST}:{place.port} -> {namespace}/{name}:{number}")
                await asyncio.Event().wait()
        except OSError as problem:
            fail(str(problem))


def chosen(found: Obj, asked: Sequence[str]) -> dict[int, Frontend]:
    """Where to listen, by the Service's ports; exits with 2 on what is none of them."""
    rows = {int(port["port"]): port for port in meta.spec(found).get("ports") or ()}
    local: dict[int, int] = {}
    for text in asked or [str(number) for number in rows]:
        mine, _, number = text.rpartition(":")
        if not number.isdigit() or int(number) not in rows or not (mine.isdigit() or not mine):
            there = ", ".join(str(one) for one in rows) or "none"
            fail(f"{text!r} is no port of {meta.name(found)}; it has {there}", 2)
        local[int(number)] = int(mine) if mine else free_port(_HOST)
    return {
        number: Frontend(_HOST, port, str(rows[number].get("protocol") or "TCP"))
        for number, port in local.items()
    }


@asynccontextmanager
async def _client(state: Any) -> AsyncIterator[RestClient]:
    client = client_of(state)
    try:
        yield client
    finally:
        await client.close()


async def _find(state: Any, namespace: str, name: str) -> Obj:
    from controlplane.local.balancer.tunnel import find

    async with _client(state) as client:
        try:
            found = await find(client, namespace, name)
        except APIError as problem:
            fail(str(problem))
    if found is None:
        fail(f"there is no Service {namespace}/{name}")
    return found
