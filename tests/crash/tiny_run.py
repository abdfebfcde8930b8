"""A whole run of a model that takes seconds: what the tests of this folder kill. Not a test.

python tests/crash/tiny_run.py FOLDER [EVERY [WORKERS]]
"""

import sys
from pathlib import Path

from devnet._core import stopping
from devnet._core.errors import DevnetError
from devnet.io import write_text
from devnet.spec import load_model
from devnet.study import networks, paths, run_model
from devnet.viz import report

SQUARE = {"outline": ((0, 0), (10, 0), (10, 10), (0, 10)), "holes": (), "seed_cell": (5, 5)}


def model():
    """Return the small model on a square of 10 x 10, with few steps and one seed."""
    small = load_model("raghavan2019_grown_pooling/small")
    return small.replace(
        name="tiny",
        scaffold=small.scaffold.replace(**SQUARE),
        learning={name: part.replace(steps=6144) for name, part in small.learning.items()},
        readout=small.readout.replace(units_small=(9,), train_images=400),
        path=small.path.replace(units=9, hidden=20),
        study=small.study.replace(seeds=1, path_seeds=1, wave_steps=2048),
    )


def shorten():
    """Make training and paths short and the page empty, in this process."""
    networks.TRAIN_STEPS, paths.SPARSIFY_STEPS, paths.BASELINE_STEPS = 150, 60, 40
    report.write_report = lambda place: write_text(Path(place) / "report.html", "<!doctype html>")


def run(folder, every=60.0, workers=1):
    """Run it, or go on with it."""
    shorten()
    run_model(model(), folder, rng=5, workers=workers, every=every)


def main(arguments):
    """Run and return an exit code as ``devnet`` does."""
    folder, *rest = arguments
    every, workers = (float(rest[0]) if rest else 60.0), (int(rest[1]) if len(rest) > 1 else 1)
    with stopping.on_signals():
        print("started", flush=True)
        try:
            run(folder, every, workers)
        except DevnetError as error:
            sys.stderr.write(f"devnet: {error}\n")
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
