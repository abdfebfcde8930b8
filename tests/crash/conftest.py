"""Several processes, started as torchrun starts them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.io import artefacts

TINY = Path(__file__).with_name("tiny_run.py")


def environment(rank, size, port):
    """Return what torchrun tells a process."""
    told = {"TORCHELASTIC_RUN_ID": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    told |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}
    return os.environ | {name: str(value) for name, value in told.items()}


def team(size, *words):
    """Start so many processes as torchrun does, without its own two seconds; return their codes and errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=environment(rank, size, port),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    return [process.returncode for process in processes], errors


@pytest.fixture(name="environment")
def _environment():
    return environment


@pytest.fixture(name="team")
def _team():
    return team


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Return the artefacts of a tiny run that nothing befell; it also compiles what the others need."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    subprocess.run([sys.executable, str(TINY), str(folder)], check=True, capture_output=True, timeout=300)
    return artefacts(folder)
