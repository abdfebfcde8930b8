"""Continual learning: ``learn_tasks`` and its methods, FIP's ``ProjectedReplay`` among them."""

from devnet.tasks.continual._loop import Learner as Learner
from devnet.tasks.continual._loop import Method as Method
from devnet.tasks.continual._loop import forgetting as forgetting
from devnet.tasks.continual._loop import learn_tasks as learn_tasks
from devnet.tasks.continual._methods import AGEM as AGEM
from devnet.tasks.continual._methods import EWC as EWC
from devnet.tasks.continual._methods import LwF as LwF
from devnet.tasks.continual._methods import Naive as Naive
from devnet.tasks.continual._methods import ProjectedReplay as ProjectedReplay
from devnet.tasks.continual._methods import Replay as Replay
from devnet.tasks.continual._methods import der as der
from devnet.tasks.continual._methods import der_plus_plus as der_plus_plus
from devnet.tasks.continual._methods import er as er
