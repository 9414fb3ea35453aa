"""etcd's flags, variables and files become settings; what etcd refuses is refused in its words."""

import shutil
import subprocess

import pytest

from kvstore.config.flag_table import FLAGS
from kvstore.config.flags import help_text, parse
from kvstore.config.reader import NO_QUOTA, ConfigError, load
from kvstore.service.corruption import CorruptionSettings


def problems(*argv: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(argv, environ or {})
    return caught.value.problems


def test_ids_are_those_of_etcd():
    # Both numbers were read from etcd 3.4.23 started with these flags.
    url = "http://127.0.0.1:23800"
    config = load(
        ["--name=m1", "-initial-cluster", f"m1={url}", "--initial-advertise-peer-urls", url], {}
    )
    assert config.member_id == 0x2E1259D415F2A040
    assert config.cluster_id == 324952591200643719


def test_without_flags_it_is_etcds_default_member():
    config = load([], {})
    # 8e9e05c52164694d is the id that every default etcd has.
    assert (config.member_id, str(config.data_dir)) == (0x8E9E05C52164694D, "default.etcd")
    assert config.advertise_client_urls == ("http://localhost:2379",)
    assert [str(one) for one in config.client_listens] == ["127.0.0.1:2379"]


def test_command_line_wins_over_the_environment():
    environ = {"ETCD_NAME": "e", "ETCD_HEARTBEAT_INTERVAL": "50", "PATH": "/"}
    config = load(["--name", "c"], environ)
    assert (config.name, config.heartbeat_seconds, config.election_seconds) == ("c", 0.05, 1.0)
    assert "ETCD_NAME" in " ".join(config.warnings)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["--bogus=1"], "flag provided but not defined: -bogus"),
        (["--name"], "flag needs an argument: -name"),
        (["--max-txn-ops=abc"], 'invalid value "abc" for flag -max-txn-ops: parse error'),
        (["--snapshot-count=-1"], 'invalid value "-1" for flag -snapshot-count: parse error'),
        (["--auto-tls=maybe"], 'invalid boolean value "maybe" for -auto-tls: parse error'),
        (
            ["--initial-cluster-state", "bogus"],
            'invalid value "bogus" for flag -initial-cluster-state: invalid value',
        ),
        (
            ["--listen-peer-urls", "foo"],
            'invalid value "foo" for flag -listen-peer-urls: '
            "URL scheme must be http, https, unix, or unixs: foo",
        ),
        (
            ["--listen-client-urls=http://127.0.0.1:1/x"],
            'invalid value "http://127.0.0.1:1/x" for flag -listen-client-urls: '
            "URL must not contain a path: http://127.0.0.1:1/x",
        ),
    ],
)
def test_a_command_line_go_cannot_read_is_refused_in_its_words(argv, told):
    with pytest.raises(ConfigError) as caught:
        load(argv, {})
    assert caught.value.is_usage
    assert caught.value.problems == (told,)


HERE = ["--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["foo"], "'foo' is not a valid flag"),
        (
            ["--listen-client-urls=http://127.0.0.1:1"],
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        ),
        (
            ["--listen-client-urls=http://foo.bar:1", "--advertise-client-urls=http://x:1"],
            "expected IP in URL for binding (http://foo.bar:1)",
        ),
        (
            ["--heartbeat-interval=1000"],
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[1000ms]",
        ),
        (
            ["--election-timeout=60000"],
            "--election-timeout[60000ms] is too long, and should be set less than 50000ms",
        ),
        (
            ["--initial-cluster=a=http://localhost:2380"],
            'couldn\'t find local name "default" in the initial cluster configuration',
        ),
        (
            ["--name=a", "--initial-cluster=a=http://localhost:2381"],
            "--initial-cluster has a=http://localhost:2381 but missing from "
            "--initial-advertise-peer-urls=http://localhost:2380 "
            '("http://localhost:2380"(resolved from "http://localhost:2380") != '
            '"http://localhost:2381"(resolved from "http://localhost:2381"))',
        ),
        (
            [
                "--name=a",
                "--initial-cluster=a=http://localhost:2380,b=http://localhost:2380",
            ],
            "initial cluster a=http://localhost:2380,b=http://localhost:2380 has duplicate url",
        ),
        (
            ["--initial-cluster=default=foo"],
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: foo",
        ),
        (["--auto-compaction-mode=x"], 'unknown auto-compaction-mode "x"'),
        (
            ["--auto-compaction-retention=x"],
            'error parsing CompactionRetention: time: invalid duration "x"',
        ),
        (
            ["--auto-compaction-mode=revision", "--auto-compaction-retention=1h"],
            'error parsing CompactionRetention: strconv.Atoi: parsing "1h": invalid syntax',
        ),
        (["--log-level=x"], 'unrecognized level: "x"'),
        (["--logger=capnslog"], "--logger=capnslog is removed in v3.5"),
        (["--logger=x"], 'unknown logger option "x"'),
        (["--cipher-suites=X"], 'unexpected TLS cipher suite "X"'),
        (
            ["--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://x:1"],
            "TLS key/cert (--cert-file, --key-file) must be provided for client url "
            "https://127.0.0.1:1 with HTTPS scheme",
        ),
        (
            ["--cert-file=/nope"],
            "KeyFile and CertFile must both be present[key: , cert: /nope]",
        ),
        (
            ["--cert-file=/nope", "--key-file=/nope"],
            "--cert-file: open /nope: no such file or directory",
        ),
        (
            ["--auto-tls", "--self-signed-cert-validity=0"],
            "selfSignedCertValidity is invalid,it should be greater than 0",
        ),
        (["--config-file=/nope"], "open /nope: no such file or directory"),
        (["--proxy=on"], "--proxy is not supported: There is no v2 proxy."),
        (["--discovery=http://x"], "--discovery is not supported: Give --initial-cluster instead."),
    ],
)
def test_settings_etcd_refuses_are_refused_in_its_words(argv, told):
    assert told in problems(*argv)


def test_a_wrong_variable_is_refused():
    assert problems(environ={"ETCD_MAX_TXN_OPS": "abc"}) == (
        'invalid value "abc" for ETCD_MAX_TXN_OPS: parse error',
    )
    assert "ETCD_BOGUS" in load([], {"ETCD_BOGUS": "1"}).warnings[0]


@pytest.mark.parametrize(
    "name", sorted(name for name, spec in FLAGS.items() if not spec.has_effect)
)
def test_meaningless_flags_are_accepted_with_one_warning(name):
    spec = FLAGS[name]
    value = {"b": "true", "d": "1s"}.get(spec.kind, spec.default or "1")
    warnings = load([f"--{name}={value}"], {}).warnings
    assert len(warnings) == 1
    assert name in warnings[0]


def test_newer_names_of_experimental_flags_are_known():
    assert load(["--watch-progress-notify-interval=3s"], {}).progress_notify_seconds == 3
    assert load(["--experimental-watch-progress-notify-interval=3s"], {}).warnings == ()


def test_all_flags_of_a_real_etcd_are_known():
    binary = shutil.which("etcd")
    if binary is None:
        pytest.skip("needs etcd (etcd-server)")
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, timeout=20).stdout
    names = {line.split()[0].strip("-") for line in text.splitlines() if line.startswith("  --")}
    assert len(names) > 60
    assert names - set(FLAGS) - {"name=", "etcd"} == set()


def test_help_lists_every_flag_once():
    lines = [line for line in help_text().splitlines() if line.startswith("  --")]
    assert len(lines) == len(FLAGS)


@pytest.mark.parametrize(
    ("mode", "retention", "seconds"),
    [
        ("periodic", "1", 3600),
        ("periodic", "30m", 1800),
        ("periodic", "0", 0),
        ("revision", "1000", 1000),
    ],
)
def test_compaction_retention_is_read_as_etcd_does(mode, retention, seconds):
    argv = ["--auto-compaction-mode", mode, "--auto-compaction-retention", retention]
    assert load(argv, {}).compaction.retention == seconds


@pytest.mark.parametrize(("text", "quota"), [("0", 2 << 30), ("-1", NO_QUOTA), ("4096", 4096)])
def test_quota(text, quota):
    assert load([f"--quota-backend-bytes={text}"], {}).quota_bytes == quota


def test_several_urls_of_all_kinds_to_listen_on():
    config = load(
        [
            "--listen-client-urls=http://127.0.0.1:1,http://0.0.0.0:2,unix://sock:3,unix:///tmp/s",
            "--advertise-client-urls=http://127.0.0.1:1",
            "--listen-client-http-urls=http://127.0.0.1:4,http://127.0.0.1:1",
        ],
        {},
    )
    assert [str(one) for one in config.client_listens] == [
        "127.0.0.1:1",
        "0.0.0.0:2",
        "unix:sock:3",
        "unix:/tmp/s",
        "127.0.0.1:4",
    ]


YAML = """
name: 'y'
data-dir: {folder}/d
wal-dir:
snapshot-count: 5000
quota-backend-bytes: 0
listen-client-urls: http://127.0.0.1:11
advertise-client-urls: http://127.0.0.1:11
listen-peer-urls: http://127.0.0.1:12
initial-advertise-peer-urls: http://127.0.0.1:12
initial-cluster: y=http://127.0.0.1:12,z=http://127.0.0.1:13
cors:
strict-reconfig-check: false
client-transport-security:
  cert-file: {folder}/c
  key-file: {folder}/k
  client-cert-auth: true
  trusted-ca-file: {folder}/ca
  auto-tls: false
peer-transport-security:
  cert-file:
  auto-tls: false
  allowed-cn: member
log-level: debug
log-outputs: [stderr, stdout]
auto-compaction-mode: revision
auto-compaction-retention: "7"
cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
]
tls-min-version: 'TLS1.2'
tls-max-version: 'TLS1.3'
no-such-key: 1
"""

TOML = """
name = "t"
snapshot-count = 77
log-outputs = ["stderr"]
[peer-transport-security]
auto-tls = true
"""


def test_etcds_config_file(tmp_path):
    for name in ("c", "k", "ca"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    file = tmp_path / "etcd.conf.yml"
    file.write_text(YAML.format(folder=tmp_path))
    config = load([f"--config-file={file}", "--name=ignored"], {"ETCD_SNAPSHOT_COUNT": "1"})
    assert (config.name, config.snapshot_count, len(config.peer_urls)) == ("y", 5000, 2)
    assert config.client_tls is not None
    assert config.client_tls.is_client_required
    assert config.client_tls.cipher_suites == (
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
    )
    assert config.client_tls.max_version == "TLS1.3"
    assert (config.compaction.mode, config.compaction.retention) == ("revision", 7)
    assert (config.log_level, config.log_outputs) == ("debug", ("stderr", "stdout"))
    told = " ".join(config.warnings)
    assert "name, snapshot-count" in told
    assert "no-such-key is not known" in told


def test_config_file_named_by_a_variable_and_in_toml(tmp_path):
    file = tmp_path / "member.toml"
    file.write_text(TOML)
    config = load([], {"ETCD_CONFIG_FILE": str(file)})
    assert (config.name, config.snapshot_count) == ("t", 77)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.yml", "name: [x\n", "error converting YAML to JSON"),
        ("a.yml", "- x\n", "must hold keys and values"),
        ("a.yml", "snapshot-count: x\n", 'invalid value "x" for snapshot-count: parse error'),
        ("a.yml", "name: {a: b}\n", "name has the wrong type"),
        ("a.toml", "name = \n", "Invalid value"),
    ],
)
def test_bad_config_files_are_refused(tmp_path, name, text, told):
    file = tmp_path / name
    file.write_text(text)
    assert told in problems(f"--config-file={file}")[0]


def test_a_key_that_others_can_read_is_warned_about(tmp_path):
    for name in ("c", "k"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    argv = [
        f"--cert-file={tmp_path}/c",
        f"--key-file={tmp_path}/k",
        "--listen-client-urls=https://127.0.0.1:1",
        "--advertise-client-urls=https://127.0.0.1:1",
    ]
    warnings = load(argv, {}).warnings
    assert len(warnings) == 1
    assert "chmod 600" in warnings[0]


def test_file_flags_do_not_hide_unknown_ones():
    assert parse(["--config-file=/nope", "--bogus"], {}).usage


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param([], CorruptionSettings(300.0, 60.0, False), id="on_by_default"),
        pytest.param(
            ["--experimental-corrupt-check-time=0", "--compact-hash-check-enabled=false"],
            CorruptionSettings(0.0, 0.0, False),
            id="off",
        ),
        pytest.param(
            [
                "--corrupt-check-time=2h",
                "--experimental-compact-hash-check-time=5m",
                "--experimental-initial-corrupt-check",
            ],
            CorruptionSettings(7200.0, 300.0, True),
            id="as_etcds",
        ),
    ],
)
def test_hashes_are_compared(flags, expected):
    assert load(flags, {}).corruption == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("ETCD_VERSION", "v3.5", id="of_an_image"),
        pytest.param("ETCD_VERSION", "true", id="as_the_flag"),
        pytest.param("ETCD_HELP", "see the wiki", id="help"),
        pytest.param("ETCD_PORT", "tcp://10.0.0.1:2379", id="of_a_service"),
        pytest.param("ETCD_MAX_WALS", "a few", id="without_meaning"),
    ],
)
def test_variables_that_mean_something_to_others_do_not_end_a_member(variable, value):
    config = load([], {variable: value})
    assert [one for one in config.warnings if variable in one]
    flags = parse([], {variable: value})
    assert not flags.boolean("version")
    assert not flags.boolean("help")
