#!/usr/bin/env python3
"""Set up devnet in a fresh clone and run it: `python3 dev.py demo` or `python3 dev.py test`.

Needs nothing but Python 3.11 or newer. It makes .venv, installs devnet there and hands over to devnet or pytest;
every command is printed first, so that you can as well type it yourself. A finished install is stamped and not
repeated; a broken or half-finished one is repaired. For Linux and macOS; Windows is untested.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"
OLDEST = (3, 11)
MODEL = "raghavan2019_grown_pooling/small"
COMMANDS = {
    "demo": [str(BIN / "devnet"), "run", MODEL, "--out", "runs/demo"],
    "test": [str(PYTHON), "-m", "pytest"],
}
SERVED_BY = {"demo": ("demo", "test"), "test": ("test",)}  # the test extra includes the demo's
USAGE = """usage: python3 dev.py demo [OPTIONS OF devnet run]   install, then run the demo into runs/demo
       python3 dev.py test [OPTIONS OF pytest]       install, then run the tests"""

# Runs inside .venv: which Python and torch it has, and which installed packages miss a file.
PROBE = """
import json, pathlib, sys, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
broken, torch = [], None
for info in sorted(site.glob("*.dist-info")):
    record = info / "RECORD"
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    files = [line.rsplit(",", 2)[0].strip('"') for line in lines if "__pycache__" not in line]
    if not files or not all((site / file).exists() for file in files):
        broken.append(str(info))
    elif info.name.startswith("torch-"):
        torch = info.name[len("torch-"):-len(".dist-info")]
print(json.dumps({"python": list(sys.version_info[:3]), "torch": torch, "broken": broken}))
"""


def shown(command: list) -> str:
    """Write a command as a person would type it in the checkout."""
    words = ["python3" if word == sys.executable else word for word in command]
    return shlex.join(word.replace(f"{ROOT}{os.sep}", "") for word in words)


def step(*command: object) -> None:
    """Print and run one step of the install; leave with its exit code when it fails."""
    words = [str(word) for word in command]
    print("+", shown(words), flush=True)
    code = subprocess.call(words, cwd=ROOT)
    if code:
        sys.exit(f"dev.py: the step above failed (exit {code}); run dev.py again to go on from there")


def probe() -> dict:
    """Ask .venv about itself; an empty answer means that it is absent, broken or of an old Python."""
    if not PYTHON.exists():
        return {}
    done = subprocess.run([str(PYTHON), "-I", "-c", PROBE], capture_output=True, text=True, check=False)
    state = json.loads(done.stdout) if done.returncode == 0 else {}
    return state if tuple(state.get("python", ())) >= OLDEST else {}


def digest(extra: str, python: list) -> str:
    """Name all that an install depends on: metadata, pins, Python, extra, and where the checkout lies."""
    files = (ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()
    return hashlib.sha256(files + repr((python, extra, ROOT)).encode()).hexdigest()


def stamp(extra: str) -> Path:
    """Name the file that marks a finished install of an extra."""
    return VENV / f"devnet-{extra}.stamp"


def finished(extra: str, state: dict) -> bool:
    """Tell whether a whole, up-to-date install serves this extra."""
    stamped = [name for name in SERVED_BY[extra] if stamp(name).is_file()]
    whole = state and not state["broken"]
    return bool(whole) and any(stamp(name).read_text() == digest(name, state["python"]) for name in stamped)


def constraints(torch: str) -> Path:
    """Return the pins, with the torch that is installed in place of ours when it is another one in range."""
    pins, base = CONSTRAINTS.read_text(), torch.partition("+")[0]
    low, high = re.findall(r'"torch>=([\d.]+),<(\d+)"', (ROOT / "pyproject.toml").read_text())[0]
    oldest, installed = (tuple(int(part) for part in version.split(".")[:2]) for version in (low, base))
    if f"torch=={base}\n" in pins or not oldest <= installed < (int(high),):
        return CONSTRAINTS
    print(f"dev.py: keeping the installed torch {torch}")
    own = VENV / "constraints.txt"
    own.write_text(re.sub(r"(?m)^torch==.*$", f"torch=={torch}", pins))
    return own


def install(extra: str) -> None:
    """Bring .venv up to date for an extra, unless it already is."""
    state = probe()
    if finished(extra, state):
        return
    size = "0.2 GB" if state.get("torch") or sys.platform == "darwin" else "1.5 GB"
    print(f"dev.py: installs devnet[{extra}] into .venv; pip downloads about {size}, less what it has cached")
    if size == "1.5 GB":
        print("dev.py: 1.3 GB of it are PyTorch with CUDA; see 'Install' in README.md for the CPU build")
    if not state:
        step(sys.executable, "-m", "venv", "--clear", VENV)
    for name in COMMANDS:
        stamp(name).unlink(missing_ok=True)
    for half in state.get("broken", []):
        print(f"dev.py: {Path(half).stem} is installed in part only; installing it again")
        shutil.rmtree(half)
    pins = constraints(state["torch"]) if state.get("torch") else CONSTRAINTS
    step(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "-e", f".[{extra}]", "-c", pins)
    state = probe()
    if not state or state["broken"]:
        sys.exit(f"dev.py: broken after the install: {state.get('broken', VENV)}; remove .venv and try again")
    stamp(extra).write_text(digest(extra, state["python"]))


def main(arguments: list) -> int:
    """Install what a command needs and become that command; the exit code is the command's."""
    if sys.version_info < OLDEST:
        found = ".".join(str(part) for part in sys.version_info[:3])
        print(f"dev.py: devnet needs Python 3.11 or newer; this is Python {found}", file=sys.stderr)
        return 2
    if not arguments or arguments[0] not in COMMANDS:
        print(USAGE, file=sys.stderr)
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    install(arguments[0])
    command = [*COMMANDS[arguments[0]], *arguments[1:]]
    print("+", shown(command), flush=True)
    os.chdir(ROOT)
    if os.name == "posix":
        os.execv(command[0], command)  # signals and exit codes are then the command's own
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
