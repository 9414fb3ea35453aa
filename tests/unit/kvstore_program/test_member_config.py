"""etcd's flags and variables become settings; every mistake is told at once."""

import pytest

from kvstore.config import ConfigError, load


def test_ids_are_those_of_etcd():
    # Both numbers were read from etcd 3.4.23 started with these flags.
    url = "http://127.0.0.1:23800"
    config = load(
        ["--name=m1", "-initial-cluster", f"m1={url}", "--initial-advertise-peer-urls", url], {}
    )
    assert config.member_id == 0x2E1259D415F2A040
    assert config.cluster_id == 324952591200643719


def test_command_line_wins_over_the_environment():
    environ = {"ETCD_NAME": "e", "ETCD_HEARTBEAT_INTERVAL": "50", "PATH": "/"}
    config = load(["--name", "c"], environ)
    assert (config.name, config.heartbeat_seconds, config.election_seconds) == ("c", 0.05, 1.0)


def test_all_mistakes_are_told_at_once():
    argv = ["--heartbeat-interval=x", "--nonsense", "--log-level=loud", "--cert-file=/nowhere/c"]
    with pytest.raises(ConfigError) as caught:
        load(argv, {})
    told = "\n".join(caught.value.problems)
    for part in ("--heartbeat-interval", "--nonsense", "--log-level", "/nowhere/c", "together"):
        assert part in told


@pytest.mark.parametrize(
    "argv", [["--enable-v2=true"], ["--enable-v2"], ["--max-wals", "3"], ["--metrics=basic"]]
)
def test_meaningless_flags_are_accepted_with_one_warning(argv):
    assert len(load(argv, {}).warnings) == 1


@pytest.mark.parametrize(
    ("mode", "retention", "seconds"),
    [("periodic", "1", 3600), ("periodic", "30m", 1800), ("revision", "1000", 1000)],
)
def test_compaction_retention_is_read_as_etcd_does(mode, retention, seconds):
    argv = ["--auto-compaction-mode", mode, "--auto-compaction-retention", retention]
    assert load(argv, {}).compaction.retention == seconds
