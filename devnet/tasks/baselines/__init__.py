"""What the jobs are compared with: textbook methods that see the labels, on an explicit budget of steps."""

from devnet.tasks._training import Training as Training
from devnet.tasks.baselines._curvature import obs_pruning as obs_pruning
from devnet.tasks.baselines._low_rank import low_rank_tuning as low_rank_tuning
from devnet.tasks.baselines._pruning import gradual_fisher_pruning as gradual_fisher_pruning
from devnet.tasks.baselines._pruning import gradual_magnitude_pruning as gradual_magnitude_pruning
from devnet.tasks.baselines._pruning import magnitude_pruning as magnitude_pruning
from devnet.tasks.baselines._recovery import fine_tuning as fine_tuning
