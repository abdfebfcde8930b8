"""WHAT a model is: validated, frozen, with units and sources; TOML in and out. Computes nothing."""

from devnet.spec._base import ASSUMED as ASSUMED
from devnet.spec._base import Spec as Spec
from devnet.spec._base import build as build
from devnet.spec._parts import AdaptiveLeakySpec as AdaptiveLeakySpec
from devnet.spec._parts import CouplingSpec as CouplingSpec
from devnet.spec._parts import DynamicsSpec as DynamicsSpec
from devnet.spec._parts import GrowthSpec as GrowthSpec
from devnet.spec._parts import IzhikevichSpec as IzhikevichSpec
from devnet.spec._parts import LearningSpec as LearningSpec
from devnet.spec._parts import ModelSpec as ModelSpec
from devnet.spec._parts import PathSpec as PathSpec
from devnet.spec._parts import RateMapSpec as RateMapSpec
from devnet.spec._parts import ReadoutSpec as ReadoutSpec
from devnet.spec._parts import StudySpec as StudySpec
from devnet.spec._rules import CompetitionSpec as CompetitionSpec
from devnet.spec._rules import HebbianWTASpec as HebbianWTASpec
from devnet.spec._rules import PairSTDPSpec as PairSTDPSpec
from devnet.spec._rules import RuleSpec as RuleSpec
from devnet.spec._rules import TripletSTDPSpec as TripletSTDPSpec
from devnet.spec._scaffold import ScaffoldSpec as ScaffoldSpec
from devnet.spec._scaffold import region_problems as region_problems
from devnet.spec._toml import catalog as catalog
from devnet.spec._toml import dump_model as dump_model
from devnet.spec._toml import load_model as load_model
from devnet.spec._toml import parse_model as parse_model
