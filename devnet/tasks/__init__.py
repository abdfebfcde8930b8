"""Ready-made jobs on functionally invariant paths, and in ``baselines`` what they are compared with."""

from devnet._core.optional import require as _require

_require("torch", extra="torch")

from devnet.fip import Damage as Damage  # noqa: E402
from devnet.tasks import baselines as baselines  # noqa: E402
from devnet.tasks import connection as connection  # noqa: E402
from devnet.tasks import continual as continual  # noqa: E402
from devnet.tasks import ensemble as ensemble  # noqa: E402
from devnet.tasks import files as files  # noqa: E402
from devnet.tasks._jobs import recover as recover  # noqa: E402
from devnet.tasks._jobs import sparsify as sparsify  # noqa: E402
from devnet.tasks._training import accuracy as accuracy  # noqa: E402
from devnet.tasks._training import train_classifier as train_classifier  # noqa: E402
from devnet.tasks.files import load_path as load_path  # noqa: E402
from devnet.tasks.files import save_path as save_path  # noqa: E402
