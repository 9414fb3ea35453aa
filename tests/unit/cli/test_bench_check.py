"""What `quorate bench compare --check-perf` reads off etcdctl's check, from its own words."""

import pytest
from typer.testing import CliRunner

from cli.bench import app
from cli.bench_check import read_verdict

PASSED = """ 60 / 60 Booooooooooooooooooooooooooooooooooooooooooooooooooooooo! 100.00% 1m0s
PASS: Throughput is 998 writes/s
PASS: Slowest request took 0.266183s
PASS: Stddev is 0.020403s
PASS
"""
FAILED = """ 60 / 60  100.00% 1m0s
FAIL: Throughput too low: 2420 writes/s
Slowest request took too long: 0.611451s
PASS: Stddev is 0.072283s
FAIL
"""


def test_a_check_that_passed() -> None:
    verdict = read_verdict(PASSED, 0)
    assert (verdict.passed, verdict.rate) == (True, 998.0)
    assert verdict.text() == (
        "PASS: Throughput is 998 writes/s; Slowest request took 0.266183s; Stddev is 0.020403s"
    )


def test_a_check_that_failed() -> None:
    verdict = read_verdict(FAILED, 1)
    assert (verdict.passed, verdict.rate) == (False, 2420.0)
    assert verdict.findings == (
        "Throughput too low: 2420 writes/s",
        "Slowest request took too long: 0.611451s",
        "Stddev is 0.072283s",
    )
    assert verdict.text().startswith("FAIL: Throughput too low")


@pytest.mark.parametrize("output", ["", "Error: context deadline exceeded\n"])
def test_no_verdict_is_an_error_with_what_was_said(output: str) -> None:
    with pytest.raises(ValueError, match=output.strip() or "exit code 4"):
        read_verdict(output, 4)


def test_an_unknown_load_is_refused_before_anything_starts() -> None:
    result = CliRunner().invoke(app, ["compare", "--check-perf", "huge"])
    assert result.exit_code == 2
    assert "'huge'" in result.output
