"""Several processes on one path, as torchrun starts them, on gloo and CPUs: the same files whatever their number."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devnet.io import digest

pytest.importorskip("torch")

HERE = Path(__file__).parent
BATCH = HERE.parents[1] / "docs" / "slurm" / "requeue.sbatch"
MLP = "mlp:64-30-10"

DIFFER = """
import os
from devnet import fip
from devnet.fip._distributed import team
with fip.torchrun():
    team().agree("same", 7)
    team().agree("weights", os.environ["RANK"])
"""


def files(folder):
    return {path.name: digest(path) for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_any_number_of_processes_walks_the_same_paths_bit_for_bit(team, tmp_path):
    found = {}
    for size in (1, 2, 3):
        place = tmp_path / str(size)
        place.mkdir()
        codes, errors = team(size, HERE / "team_walk.py", place)
        assert codes == [0] * size, errors
        found[size] = files(place)
    assert found[1].keys() == {"sparsify", "recover", "null space", "second task"}
    assert found[2] == found[1]
    assert found[3] == found[1]


@pytest.mark.slow
def test_processes_that_differ_stop(team):
    codes, errors = team(2, "-c", DIFFER)
    assert 0 not in codes
    assert any("weights: the processes differ; give all of them the same files" in error for error in errors)


def test_more_processes_than_micro_batches_are_refused(environment, monkeypatch):
    from devnet import fip
    from devnet._core.errors import ConfigError

    for name, value in environment(0, 9, 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="at most 8 processes"), fip.torchrun():
        pass
    assert fip.leads()


@pytest.fixture
def cluster(tmp_path):
    """Return the environment of a batch job on a cluster of this one machine; `scontrol` writes down what it is told."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in (("srun", 'exec "$@"'), ("scontrol", f'echo "$@" >> "{tmp_path}/scontrol"')):
        (programs / name).write_text(f"#!/bin/bash\n{line}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "SLURM_JOB_ID": "42", "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_batch_job_is_stopped_requeued_and_ends_as_if_it_never_had_been(
    environment, monkeypatch, tmp_path, cluster
):
    from devnet.cli import main
    from devnet.io.weights import write_weights
    from devnet.study.factories import network_of
    from devnet.study.workers import one_thread

    module = network_of(MLP, (8, 8), 10, rng=0)
    write_weights(tmp_path / "weights", {n: t.numpy() for n, t in module.state_dict().items()})
    walk = ["-m", "devnet.cli", "fip", "sparsify", str(tmp_path / "weights"), "--factory", MLP]
    walk += ["--steps", "200"]
    with monkeypatch.context() as patch, one_thread():  # a team of one
        for name, value in environment(0, 1, 0).items():
            patch.setenv(name, value)
        assert main([*walk[2:], "--out", str(tmp_path / "whole")]) == 0
    kept = tmp_path / "kept"
    job = ["bash", str(BATCH), "torchrun", "--standalone", "--nproc-per-node", "2", *walk]
    job += ["--out", str(tmp_path / "path"), "--checkpoint", str(kept), "--every", "0.1"]

    process = subprocess.Popen(job, env=cluster, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while not any(kept.glob("*.safetensors")) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGUSR1)
        error = process.communicate(timeout=60)[1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 75, error
    assert (tmp_path / "scontrol").read_text() == "requeue 42\n"
    assert list(kept.glob("*.safetensors")), error
    assert not (tmp_path / "path").exists()

    again = subprocess.run(job, env=cluster, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert digest(tmp_path / "path") == digest(tmp_path / "whole")
    assert (tmp_path / "scontrol").read_text() == "requeue 42\n"
