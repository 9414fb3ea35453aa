"""`python -m controlplane.apiserver`: arguments, then run until SIGTERM or SIGINT.

Exit codes: 0 stopped as asked, 1 a part failed, 2 wrong arguments.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controlplane.apiserver.config import ApiServerConfig
from kvstore.base import log as logging
from kvstore.base.clock import SystemClock
from kvstore.base.durations import parse_duration

# Flag -> field of ApiServerConfig; all take text.
_TEXT_FLAGS = {
    "--name": "name",
    "--bind-address": "bind_address",
    "--advertise-address": "advertise_address",
    "--etcd-cafile": "etcd_ca_file",
    "--etcd-certfile": "etcd_cert_file",
    "--etcd-keyfile": "etcd_key_file",
    "--tls-cert-file": "tls_cert_file",
    "--tls-private-key-file": "tls_key_file",
    "--client-ca-file": "client_ca_file",
    "--kubelet-client-certificate": "kubelet_client_cert_file",
    "--kubelet-client-key": "kubelet_client_key_file",
    "--kubelet-certificate-authority": "kubelet_ca_file",
    "--service-cluster-ip-range": "service_ip_range",
    "--token-auth-file": "token_auth_file",
    "--service-account-signing-key-file": "service_account_signing_key_file",
    "--service-account-jwks-uri": "jwks_uri",
    "--proxy-client-cert-file": "proxy_client_cert_file",
    "--proxy-client-key-file": "proxy_client_key_file",
    "--requestheader-client-ca-file": "requestheader_client_ca_file",
    "--encryption-provider-config": "encryption_config_file",
    "--audit-policy-file": "audit_policy_file",
    "--audit-log-path": "audit_log_path",
    "--audit-webhook-config-file": "audit_webhook_file",
    "--log-level": "log_level",
}
_LIST_FLAGS = {
    "--authorization-mode": "authorization_modes",
    "--api-audiences": "api_audiences",
    "--requestheader-allowed-names": "requestheader_allowed_names",
    "--requestheader-username-headers": "requestheader_username_headers",
    "--requestheader-uid-headers": "requestheader_uid_headers",
    "--requestheader-group-headers": "requestheader_group_headers",
    "--requestheader-extra-headers-prefix": "requestheader_extra_headers_prefix",
}
# Flags that may come more than once.
_REPEATED_FLAGS = {
    "--service-account-issuer": "service_account_issuers",
    "--service-account-key-file": "service_account_key_files",
}
_SWITCHES = {
    "--anonymous-auth": "anonymous_auth",
    "--encryption-provider-config-automatic-reload": "encryption_config_reload",
    "--audit-log-compress": "audit_log_compress",
    "--audit-log-truncate-enabled": "audit_log_truncate",
    "--audit-webhook-truncate-enabled": "audit_webhook_truncate",
    "--enable-priority-and-fairness": "enable_priority_and_fairness",
    "--enable-bootstrap-token-auth": "enable_bootstrap_token_auth",
}
_PLUGIN_FLAGS = {
    "--enable-admission-plugins": "enabled_admission_plugins",
    "--disable-admission-plugins": "disabled_admission_plugins",
}
_NUMBER_FLAGS = {
    "--secure-port": "secure_port",
    "--watch-cache-size": "watch_cache_size",
    "--max-requests-inflight": "max_reads_in_flight",
    "--max-mutating-requests-inflight": "max_writes_in_flight",
    "--min-request-timeout": "min_request_timeout_seconds",
    "--audit-log-maxsize": "audit_log_maxsize",
    "--audit-log-maxage": "audit_log_maxage",
    "--audit-log-maxbackup": "audit_log_maxbackup",
    "--audit-webhook-batch-buffer-size": "audit_webhook_batch_buffer_size",
    "--audit-webhook-batch-max-size": "audit_webhook_batch_max_size",
    "--default-not-ready-toleration-seconds": "not_ready_toleration_seconds",
    "--default-unreachable-toleration-seconds": "unreachable_toleration_seconds",
}
_DURATION_FLAGS = {
    "--request-timeout": "request_timeout_seconds",
    "--etcd-timeout": "etcd_timeout_seconds",
    "--etcd-compaction-interval": "compaction_interval_seconds",
    "--audit-webhook-batch-max-wait": "audit_webhook_batch_max_wait_seconds",
    "--audit-webhook-initial-backoff": "audit_webhook_initial_backoff_seconds",
    "--service-account-max-token-expiration": "max_token_seconds",
}


_CHOICES = {
    "--audit-log-mode": ("audit_log_mode", ("batch", "blocking", "blocking-strict")),
    "--audit-webhook-mode": ("audit_webhook_mode", ("batch", "blocking", "blocking-strict")),
}


def _endpoints(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _switch(text: str) -> bool:
    if text.lower() in ("true", "t", "1"):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise ValueError(text)


def parse_arguments(arguments: Sequence[str]) -> ApiServerConfig:
    """The configuration; exits with 2 on arguments it cannot read."""
    parser = argparse.ArgumentParser("controlplane.apiserver", allow_abbrev=False)
    defaults = ApiServerConfig()
    parser.add_argument("--etcd-servers", type=_endpoints, default=defaults.etcd_servers)
    for flag, field in _PLUGIN_FLAGS.items():
        parser.add_argument(flag, dest=field, type=_endpoints, default=())
    for flag, field in _LIST_FLAGS.items():
        parser.add_argument(flag, dest=field, type=_endpoints, default=getattr(defaults, field))
    for flag, field in _TEXT_FLAGS.items():
        parser.add_argument(flag, dest=field, default=getattr(defaults, field))
    for flag, field in _NUMBER_FLAGS.items():
        parser.add_argument(flag, dest=field, type=int, default=getattr(defaults, field))
    for flag, field in _DURATION_FLAGS.items():
        default = getattr(defaults, field)
        parser.add_argument(flag, dest=field, type=parse_duration, default=default)
    for flag, (field, choices) in _CHOICES.items():
        parser.add_argument(flag, dest=field, choices=choices, default=getattr(defaults, field))
    for flag, field in _REPEATED_FLAGS.items():
        parser.add_argument(flag, dest=field, action="append")
    for flag, field in _SWITCHES.items():
        parser.add_argument(
            flag, dest=field, type=_switch, nargs="?", const=True, default=getattr(defaults, field)
        )
    values = vars(parser.parse_args(arguments))
    for field in _REPEATED_FLAGS.values():
        values[field] = tuple(values[field] or getattr(defaults, field))
    values["max_token_seconds"] = int(values["max_token_seconds"])
    problem = _problem(values)
    if problem:
        parser.error(problem)
    return ApiServerConfig(**values)


def _problem(values: dict[str, Any]) -> str:
    """What is wrong with flags that can be read; empty when nothing is."""
    for flag, field in _PLUGIN_FLAGS.items():
        wrong = _unknown(values[field])
        if wrong:
            return f'{flag[2:]} plugin "{wrong[0]}" is unknown'
    if bool(values["tls_cert_file"]) != bool(values["tls_key_file"]):
        return "--tls-cert-file and --tls-private-key-file go together"
    if not values["tls_cert_file"]:
        return "--tls-cert-file is required: the API is served over TLS only"
    if values["encryption_config_file"]:
        from controlplane.storage.encryption import config as encryption

        try:
            text = Path(values["encryption_config_file"]).read_text(encoding="utf-8")
            encryption.parse(text, os.urandom)
        except (OSError, encryption.ConfigError) as error:
            return f"--encryption-provider-config: {error}"
    return _audit_problem(values["audit_policy_file"], values["audit_webhook_file"])


def _audit_problem(policy_file: str, webhook_file: str) -> str:
    """What is wrong with the audit log's files; empty when nothing is."""
    if not policy_file and not webhook_file:
        return ""
    # Late, as `_unknown`.
    from controlplane.apiserver.audit import policy, webhook

    try:
        if policy_file:
            policy.parse(Path(policy_file).read_text(encoding="utf-8"))
        if webhook_file:
            webhook.read_receiver(webhook_file)
    except (OSError, policy.PolicyError, webhook.WebhookFileError) as error:
        return f"audit: {error}"
    return ""


def _unknown(plugins: tuple[str, ...]) -> list[str]:
    if not plugins:
        return []
    # Late, since it reads all plugins, and with them all kinds.
    from controlplane.apiserver.admission.registry import unknown

    return unknown(plugins)


async def run(config: ApiServerConfig) -> int:
    """Serve until a signal comes; the exit code."""
    # Late, so that wrong arguments are told at once.
    from controlplane.apiserver.app import ApiServer, stored_kinds
    from controlplane.storage.kv import KvStorage
    from kvstore.client.types import ClientTls

    clock = SystemClock()
    tls = None
    if config.etcd_ca_file or config.etcd_cert_file:
        tls = ClientTls(config.etcd_ca_file, config.etcd_cert_file, config.etcd_key_file)
    encryption = None
    if config.encryption_config_file:
        from controlplane.storage.encryption.encryption import Encryption

        encryption = Encryption(config.encryption_config_file, stored_kinds())
    storage = KvStorage(
        config.etcd_servers,
        tls=tls,
        timeout_seconds=config.etcd_timeout_seconds,
        clock=clock,
        encryption=encryption,
    )
    server = ApiServer(config, storage, clock, random.Random(), encryption=encryption)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start()
    failure = asyncio.ensure_future(server.wait())
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait((failure, stopped), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if failure.done() and failure.exception() is not None:
        logging.get_logger(__name__).error("a part failed", error=repr(failure.exception()))
        code = 1
    for future in (failure, stopped):
        future.cancel()
    await server.stop()
    return code


def main() -> int:
    """Entry point."""
    config = parse_arguments(sys.argv[1:])
    logging.configure(config.name, level=config.log_level)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(run(config))
    return uvloop.run(run(config))


if __name__ == "__main__":
    sys.exit(main())
