"""The controller manager put together: client, election, shared caches, controllers, health."""

import random

from controlplane.client.accounts import AccountTokens
from controlplane.client.rest import RestClient
from controlplane.controllers.config import ControllersConfig
from controlplane.controllers.framework.manager import Manager
from controlplane.program.health import HealthServer
from controlplane.program.leading import LeadingConfig
from controlplane.program.options import Parsed
from kvstore.base.clock import Clock

COMPONENT = "kube-controller-manager"


def build_manager(
    options: Parsed,
    client: RestClient,
    clock: Clock,
    rng: random.Random,
    accounts: RestClient | None = None,
) -> Manager:
    """The whole program but for the event loop and the clients' life.

    With `accounts`, a client that shows no identity of its own, each controller writes as its service account.
    """
    as_account = None
    if accounts is not None:
        tokens = AccountTokens(client, clock)

        def as_account(account: str) -> RestClient:
            return accounts.speaking_with(tokens.of(account))

    leading = options.of(LeadingConfig)
    address = leading.health_address
    return Manager(
        client,
        clock,
        rng,
        leading.elector(client, COMPONENT, clock, rng),
        options.of(ControllersConfig).chosen(),
        options,
        component=COMPONENT,
        health=HealthServer(*address) if address is not None else None,
        as_account=as_account,
    )


async def run(options: Parsed, clock: Clock, rng: random.Random) -> None:
    """Run until cancelled."""
    leading = options.of(LeadingConfig)
    client = RestClient.from_kubeconfig(
        leading.kubeconfig, leading.servers, clock=clock, user_agent=COMPONENT
    )
    accounts = None
    if options.of(ControllersConfig).use_service_account_credentials:
        accounts = RestClient.from_kubeconfig(
            leading.kubeconfig,
            leading.servers,
            clock=clock,
            user_agent=COMPONENT,
            shows_identity=False,
        )
    try:
        await build_manager(options, client, clock, rng, accounts).run()
    finally:
        await client.close()
        if accounts is not None:
            await accounts.close()
