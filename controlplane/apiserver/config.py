"""The server's settings, from its command line.

Flags carry kube-apiserver's names where it has them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiServerConfig:
    """All settings; empty paths mean: not given."""

    name: str = "apiserver"
    bind_address: str = "127.0.0.1"
    # Where the rest of the cluster reaches this server; it stands in the Endpoints of the Service `kubernetes`.
    advertise_address: str = ""
    secure_port: int = 6443
    etcd_servers: tuple[str, ...] = ("http://127.0.0.1:2379",)
    etcd_ca_file: str = ""
    etcd_cert_file: str = ""
    etcd_key_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    client_ca_file: str = ""
    kubelet_client_cert_file: str = ""
    kubelet_client_key_file: str = ""
    kubelet_ca_file: str = ""
    # How long pods that do not say it stay on a node that is not ready, or silent.
    not_ready_toleration_seconds: int = 300
    unreachable_toleration_seconds: int = 300
    service_ip_range: str = "10.96.0.0/16"
    # Events kept per resource for watches that come back; kube-apiserver's default is 100 and grows.
    watch_cache_size: int = 1000
    # kube-apiserver's defaults of the limits of requests served at once; fairness shares their sum.
    max_reads_in_flight: int = 400
    max_writes_in_flight: int = 200
    enable_priority_and_fairness: bool = True
    request_timeout_seconds: float = 60.0
    # How often what was superseded is forgotten; 0 leaves it to the store.
    compaction_interval_seconds: float = 300.0
    # A single call to the store; a leader change must fit in.
    etcd_timeout_seconds: float = 5.0
    # Bodies above this are refused; the store takes about 1.5 MiB.
    max_body_bytes: int = 3 * 1024 * 1024
    # Watches without timeoutSeconds end after this, and at most twice this, long.
    min_request_timeout_seconds: int = 1800
    # A silent watch is told its revision this often.
    bookmark_seconds: float = 60.0
    # How long streams have to end after SIGTERM.
    stop_seconds: float = 2.0
    # True lets anybody in everywhere, for authorization to decide; False nobody; None to health and version only.
    anonymous_auth: bool | None = None
    token_auth_file: str = ""
    enable_bootstrap_token_auth: bool = False
    # Tokens of service accounts: the first issuer is the one they are issued by, all are believed.
    service_account_issuers: tuple[str, ...] = ("https://kubernetes.default.svc.cluster.local",)
    service_account_signing_key_file: str = ""
    service_account_key_files: tuple[str, ...] = ()
    api_audiences: tuple[str, ...] = ()
    jwks_uri: str = ""
    # Longer tokens are shortened to this; 0 leaves them.
    max_token_seconds: int = 0
    # What this server shows to API servers behind it.
    proxy_client_cert_file: str = ""
    proxy_client_key_file: str = ""
    # Front proxies, whose headers say who asks.
    requestheader_client_ca_file: str = ""
    requestheader_allowed_names: tuple[str, ...] = ()
    requestheader_username_headers: tuple[str, ...] = ("X-Remote-User",)
    requestheader_uid_headers: tuple[str, ...] = ("X-Remote-Uid",)
    requestheader_group_headers: tuple[str, ...] = ("X-Remote-Group",)
    requestheader_extra_headers_prefix: tuple[str, ...] = ("X-Remote-Extra-",)
    # Who decides what may be done, in order: Node, RBAC, AlwaysAllow, AlwaysDeny. kube-apiserver's default.
    authorization_modes: tuple[str, ...] = ("AlwaysAllow",)
    # Admission plugins beside those that are on by themselves, and those that are off.
    enabled_admission_plugins: tuple[str, ...] = ()
    disabled_admission_plugins: tuple[str, ...] = ()
    # Which kinds are encrypted in the store, and whether changes of the file are heeded.
    encryption_config_file: str = ""
    encryption_config_reload: bool = False
    # The audit log: nothing is written without a policy and at least one place to write to.
    audit_policy_file: str = ""
    audit_log_path: str = ""
    audit_log_mode: str = "blocking"
    audit_log_maxsize: int = 0
    audit_log_maxage: int = 0
    audit_log_maxbackup: int = 0
    audit_log_compress: bool = False
    audit_log_truncate: bool = False
    audit_webhook_file: str = ""
    audit_webhook_mode: str = "batch"
    audit_webhook_batch_buffer_size: int = 10_000
    audit_webhook_batch_max_size: int = 400
    audit_webhook_batch_max_wait_seconds: float = 30.0
    audit_webhook_initial_backoff_seconds: float = 10.0
    audit_webhook_truncate: bool = False
    # Bytes of an event, and of a batch, of the sinks that truncate.
    audit_truncate_max_event_size: int = 100 * 1024
    audit_truncate_max_batch_size: int = 10 * 1024 * 1024
    log_level: str = "info"
