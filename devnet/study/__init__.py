"""A model run over seeds, stage after stage, into a run folder: what the demo and ``devnet run`` do."""

from devnet.study.pipeline import STAGES as STAGES
from devnet.study.pipeline import report_again as report_again
from devnet.study.pipeline import resume_run as resume_run
from devnet.study.pipeline import run_model as run_model
from devnet.study.summary import read_summary as read_summary
from devnet.study.table import tables as tables
