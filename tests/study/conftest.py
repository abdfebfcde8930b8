"""A model so small that a whole run takes seconds, and one finished run of it."""

import pytest

from devnet.spec import load_model


@pytest.fixture(scope="session")
def tiny():
    """Return a model on a square of 10 x 10 with few steps and two seeds."""
    model = load_model("raghavan2019_grown_pooling/small")
    square = {"outline": ((0, 0), (10, 0), (10, 10), (0, 10)), "holes": (), "seed_cell": (5, 5)}
    learning = {name: part.replace(steps=2048) for name, part in model.learning.items()}
    return model.replace(
        name="tiny",
        scaffold=model.scaffold.replace(**square),
        learning=learning,
        readout=model.readout.replace(units_small=(9, 16), train_images=400),
        path=model.path.replace(units=16, hidden=20),
        study=model.study.replace(seeds=2, path_seeds=2, wave_steps=256),
    )


@pytest.fixture(scope="session")
def brief():
    """Make paths and baselines of the FIP stage short while the block runs."""
    patch = pytest.MonkeyPatch()
    from devnet.study import networks, paths

    patch.setattr(networks, "TRAIN_STEPS", 150)
    patch.setattr(paths, "SPARSIFY_STEPS", 60)
    patch.setattr(paths, "BASELINE_STEPS", 80)
    patch.setattr(paths, "SECOND_STEPS", 40)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def finished(tiny, brief, tmp_path_factory):
    """Return the folder and the summary of a finished run."""
    from devnet.study import run_model

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, run_model(tiny, folder, rng=5, workers=1)


@pytest.fixture
def blank_page(monkeypatch):
    """Write an empty page in the place of the drawn one, which takes seconds."""
    from devnet.io import write_text
    from devnet.viz import report

    def write(folder):
        write_text(folder / "report.html", "<!doctype html>")

    monkeypatch.setattr(report, "write_report", write)
