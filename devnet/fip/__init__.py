"""Functionally invariant paths: move any PyTorch network without changing what it does.

``traverse(module, problem)`` walks; a ``Problem`` joins a metric (what counts as unchanged), an objective (where to
go), a direction (how both make a vector), a step (how far along it) and a stop. This package needs PyTorch and
nothing of devnet that grows.
"""

from devnet._core.optional import require as _require

_require("torch", extra="torch")

from devnet.fip._combine import Sum as Sum  # noqa: E402
from devnet.fip._combine import UserObjective as UserObjective  # noqa: E402
from devnet.fip._damage import Damage as Damage  # noqa: E402
from devnet.fip._direction import Direction as Direction  # noqa: E402
from devnet.fip._direction import PenalizedGradient as PenalizedGradient  # noqa: E402
from devnet.fip._distributed import device as device  # noqa: E402
from devnet.fip._distributed import leads as leads  # noqa: E402
from devnet.fip._distributed import torchrun as torchrun  # noqa: E402
from devnet.fip._forms import Diagonal as Diagonal  # noqa: E402
from devnet.fip._forms import Form as Form  # noqa: E402
from devnet.fip._forms import LowRank as LowRank  # noqa: E402
from devnet.fip._layout import Layout as Layout  # noqa: E402
from devnet.fip._metric import Euclidean as Euclidean  # noqa: E402
from devnet.fip._metric import Fisher as Fisher  # noqa: E402
from devnet.fip._metric import LocalMetric as LocalMetric  # noqa: E402
from devnet.fip._metric import Metric as Metric  # noqa: E402
from devnet.fip._metric import Mixed as Mixed  # noqa: E402
from devnet.fip._natural import DampedNatural as DampedNatural  # noqa: E402
from devnet.fip._network import Network as Network  # noqa: E402
from devnet.fip._nullspace import NullSpace as NullSpace  # noqa: E402
from devnet.fip._objective import Objective as Objective  # noqa: E402
from devnet.fip._objective import Stay as Stay  # noqa: E402
from devnet.fip._optimizer import Optimizer as Optimizer  # noqa: E402
from devnet.fip._path import Path as Path  # noqa: E402
from devnet.fip._pattern import Global as Global  # noqa: E402
from devnet.fip._pattern import NofM as NofM  # noqa: E402
from devnet.fip._pattern import Pattern as Pattern  # noqa: E402
from devnet.fip._pattern import PerLayer as PerLayer  # noqa: E402
from devnet.fip._pattern import Units as Units  # noqa: E402
from devnet.fip._place import Diversity as Diversity  # noqa: E402
from devnet.fip._place import ToWeights as ToWeights  # noqa: E402
from devnet.fip._problem import Problem as Problem  # noqa: E402
from devnet.fip._resilience import Resilience as Resilience  # noqa: E402
from devnet.fip._resilience import resilience as resilience  # noqa: E402
from devnet.fip._running import recalibrate as recalibrate  # noqa: E402
from devnet.fip._saliency import Magnitude as Magnitude  # noqa: E402
from devnet.fip._saliency import MetricSaliency as MetricSaliency  # noqa: E402
from devnet.fip._saliency import Saliency as Saliency  # noqa: E402
from devnet.fip._sparsity import Sparsity as Sparsity  # noqa: E402
from devnet.fip._spectrum import Prediction as Prediction  # noqa: E402
from devnet.fip._spectrum import Spectrum as Spectrum  # noqa: E402
from devnet.fip._spectrum import predict_change as predict_change  # noqa: E402
from devnet.fip._state import WalkState as WalkState  # noqa: E402
from devnet.fip._step import Adam as Adam  # noqa: E402
from devnet.fip._step import Backtrack as Backtrack  # noqa: E402
from devnet.fip._step import Fixed as Fixed  # noqa: E402
from devnet.fip._step import FunctionalBudget as FunctionalBudget  # noqa: E402
from devnet.fip._step import Step as Step  # noqa: E402
from devnet.fip._step import UnitLength as UnitLength  # noqa: E402
from devnet.fip._stop import Stop as Stop  # noqa: E402
from devnet.fip._stop import StopWhen as StopWhen  # noqa: E402
from devnet.fip._task import NewTask as NewTask  # noqa: E402
from devnet.fip._task import Replay as Replay  # noqa: E402
from devnet.fip._traverse import resume as resume  # noqa: E402
from devnet.fip._traverse import traverse as traverse  # noqa: E402
from devnet.fip._walk import Walk as Walk  # noqa: E402
from devnet.fip._watch import Callback as Callback  # noqa: E402
from devnet.fip._watch import TensorBoard as TensorBoard  # noqa: E402
from devnet.fip._watch import WayPoint as WayPoint  # noqa: E402
