"""Continual learning: ``learn_tasks`` and its methods.

FIP's are ``InvariantReplay``, ``ProjectedReplay`` and ``MetricAnchor``.
"""

from devnet.tasks.continual._augment import Affine as Affine
from devnet.tasks.continual._layers import GPM as GPM
from devnet.tasks.continual._layers import MetricAnchor as MetricAnchor
from devnet.tasks.continual._loop import Learner as Learner
from devnet.tasks.continual._loop import Method as Method
from devnet.tasks.continual._loop import forgetting as forgetting
from devnet.tasks.continual._loop import learn_tasks as learn_tasks
from devnet.tasks.continual._methods import AGEM as AGEM
from devnet.tasks.continual._methods import EWC as EWC
from devnet.tasks.continual._methods import LwF as LwF
from devnet.tasks.continual._methods import Naive as Naive
from devnet.tasks.continual._replay import InvariantReplay as InvariantReplay
from devnet.tasks.continual._replay import ProjectedReplay as ProjectedReplay
from devnet.tasks.continual._replay import Replay as Replay
from devnet.tasks.continual._replay import Replaying as Replaying
from devnet.tasks.continual._replay import der as der
from devnet.tasks.continual._replay import der_plus_plus as der_plus_plus
from devnet.tasks.continual._replay import er as er
from devnet.tasks.continual._splits import Task as Task
from devnet.tasks.continual._splits import permute_inputs as permute_inputs
from devnet.tasks.continual._splits import split_classes as split_classes
