import numpy as np
import pytest

torch = pytest.importorskip("torch")

from devnet._core.errors import ConfigError  # noqa: E402
from devnet.data import ImageSet, load_images  # noqa: E402
from devnet.export import load_network, save_network  # noqa: E402
from devnet.io.nouns import load_wiring  # noqa: E402
from devnet.study import networks  # noqa: E402


@pytest.fixture(scope="module")
def wiring_file(finished):
    return finished[0] / "organize" / "pools16-0.safetensors"


@pytest.fixture(scope="module")
def network_file(wiring_file, tmp_path_factory):
    network, right = networks.export(wiring_file, "digits", hidden=12, train=200, rng=3)
    path = tmp_path_factory.mktemp("networks") / "a.safetensors"
    save_network(network, path)
    assert right > 0.5
    return path


def test_export_scales_features_and_trains_only_when_asked(wiring_file):
    network, right = networks.export(wiring_file, "digits", hidden=0, train=0, rng=3)
    digits = load_images("digits")
    x = networks.seen(network, digits.x_train).numpy()
    assert np.allclose(x.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(x.std(axis=0), 1, atol=1e-4)
    assert len(list(network.readout)) == 1
    assert right < 0.5


def test_what_the_read_out_sees_is_what_the_network_computes(network_file):
    network = load_network(network_file)
    images = load_images("digits").x_test[:9]
    with torch.no_grad():
        assert torch.equal(
            network.readout(networks.seen(network, images)), network(torch.from_numpy(images.copy()))
        )
    with pytest.raises(ConfigError, match="images of \\(28, 28\\)"):
        networks.seen(network, np.zeros((1, 28, 28), np.float32))


def test_the_scale_is_that_of_the_chosen_images(wiring_file):
    digits = load_images("digits")
    few = ImageSet("few", digits.x_train[:50], digits.y_train[:50], digits.x_test, digits.y_test)
    wiring = load_wiring(wiring_file)
    from devnet._core.random import Key

    network = networks.untrained(wiring, few, 5, np.arange(20), Key(1))
    assert np.allclose(networks.seen(network, few.x_train[:20]).numpy().mean(axis=0), 0, atol=1e-5)
