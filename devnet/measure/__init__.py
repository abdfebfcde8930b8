"""Pure functions array -> number: pools, waves, and what a linear read-out can tell. Usable on foreign networks."""

from devnet.measure._parts import mean_spacing as mean_spacing
from devnet.measure.pooling import PoolStatistics as PoolStatistics
from devnet.measure.pooling import coverage as coverage
from devnet.measure.pooling import initial_statistics as initial_statistics
from devnet.measure.pooling import largest_component_share as largest_component_share
from devnet.measure.pooling import organized as organized
from devnet.measure.pooling import overlap as overlap
from devnet.measure.pooling import pool_sizes as pool_sizes
from devnet.measure.pooling import pool_statistics as pool_statistics
from devnet.measure.pooling import receptive_fields as receptive_fields
from devnet.measure.pooling import relative_pool_sizes as relative_pool_sizes
from devnet.measure.pooling import sheet_rms_radius as sheet_rms_radius
from devnet.measure.pooling import weighted_rms_radius as weighted_rms_radius
from devnet.measure.pooling import wiring_statistics as wiring_statistics
from devnet.measure.readout import PairedDifference as PairedDifference
from devnet.measure.readout import Readout as Readout
from devnet.measure.readout import linear_readout as linear_readout
from devnet.measure.readout import paired_difference as paired_difference
from devnet.measure.waves import Bodies as Bodies
from devnet.measure.waves import Health as Health
from devnet.measure.waves import WaveSeries as WaveSeries
from devnet.measure.waves import WaveStatistics as WaveStatistics
from devnet.measure.waves import WaveTally as WaveTally
from devnet.measure.waves import wave_statistics as wave_statistics
