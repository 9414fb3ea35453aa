"""A server that issues tokens, with a key made once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.apiserver.config import ApiServerConfig
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock

ISSUER = "https://kubernetes.default.svc.cluster.local"


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path_factory.mktemp("keys") / "sa.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
async def server(key_file: Path) -> AsyncIterator[InProcessServer]:
    config = ApiServerConfig(
        service_account_signing_key_file=str(key_file),
        authorization_modes=("RBAC",),
        enable_bootstrap_token_auth=True,
    )
    async with InProcessServer(config=config, clock=ManualClock()) as running:
        running.put(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
        yield running
