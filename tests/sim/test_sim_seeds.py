"""Whole clusters from fixed seeds: no promise broken, and every run of a seed is the same run.

`make sim SEEDS=n FIRST=s` runs as many more as one likes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.testing.history.model import Model
from kvstore.testing.history.records import Put, Range, RangeReply, Txn, TxnReply
from kvstore.testing.sim.__main__ import main
from kvstore.testing.sim.run import plan_of, run_plan

REPOSITORY = Path(__file__).parents[2]
SECONDS = 10.0


@pytest.mark.parametrize("seed", [3, 7, 20])
def test_no_promise_is_broken(seed: int) -> None:
    report = run_plan(plan_of(seed, seconds=SECONDS))
    assert [str(one) for one in report.violations] == []
    assert report.counts["operations"] > 10
    assert report.counts["applied"] > 30
    assert report.virtual_seconds > SECONDS


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    here = run_plan(plan_of(5, seconds=4.0)).trace_hash
    assert run_plan(plan_of(5, seconds=4.0)).trace_hash == here
    assert run_plan(plan_of(6, seconds=4.0)).trace_hash != here
    command = [sys.executable, "-m", "kvstore.testing.sim", "--seed", "5", "--seconds", "4"]
    for hash_seed in ("0", "4242"):
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert f"seed 5 trace {here}" in done.stdout


def test_a_failing_seed_is_told_shrunk_and_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seed", "1000000", "--mutant", "etcd-17247", "--seconds", "4"]
    assert main(arguments) == 1
    told = capsys.readouterr().out
    assert "FAILED; repeat it with: python -m kvstore.testing.sim --seed 1000000" in told
    assert "--mutant etcd-17247 --seconds 4" in told
    # That mistake needs no fault at all.
    assert "shortest schedule, 0 of" in told
    assert "--no-faults" in told
    assert main([*arguments, "--no-faults"]) == 1


def test_the_model_reads_the_past_within_a_transaction_that_has_written() -> None:
    # Found by seed 21: real etcd reads revision 2 here, not what the transaction is about to make of it.
    model = Model()
    model.apply(Put(b"k", b"old"))
    reply = model.apply(Txn((), (Put(b"k", b"new"), Range(b"k", revision=2)), ()))
    assert isinstance(reply, TxnReply)
    read = reply.responses[1]
    assert isinstance(read, RangeReply)
    assert [kv.value for kv in read.kvs] == [b"old"]
