"""Figures and the report page: each figure is one function that takes a noun and returns a matplotlib Figure."""

from devnet._core.optional import require as _require

_require("matplotlib", extra="page")

from devnet.viz._fields import fields as fields  # noqa: E402
from devnet.viz._fields import topography as topography  # noqa: E402
from devnet.viz._files import to_png as to_png  # noqa: E402
from devnet.viz._files import to_svg as to_svg  # noqa: E402
from devnet.viz._growth import growth as growth  # noqa: E402
from devnet.viz._growth import growth_curve as growth_curve  # noqa: E402
from devnet.viz._growth import lineage as lineage  # noqa: E402
from devnet.viz._layers import layers as layers  # noqa: E402
from devnet.viz._layers import stack as stack  # noqa: E402
from devnet.viz._learning import learning_curves as learning_curves  # noqa: E402
from devnet.viz._learning import pools_forming as pools_forming  # noqa: E402
from devnet.viz._paths import comparison as comparison  # noqa: E402
from devnet.viz._paths import path_curves as path_curves  # noqa: E402
from devnet.viz._plane import path_plane as path_plane  # noqa: E402
from devnet.viz._plot import plot as plot  # noqa: E402
from devnet.viz._pools import owners as owners  # noqa: E402
from devnet.viz._pools import pools as pools  # noqa: E402
from devnet.viz._pools import tiling as tiling  # noqa: E402
from devnet.viz._readout import readout as readout  # noqa: E402
from devnet.viz._space_time import initiation_map as initiation_map  # noqa: E402
from devnet.viz._space_time import space_time as space_time  # noqa: E402
from devnet.viz._spectra import activity_spectrum as activity_spectrum  # noqa: E402
from devnet.viz._spectra import spectrum as spectrum  # noqa: E402
from devnet.viz._spectra import weight_spectrum as weight_spectrum  # noqa: E402
from devnet.viz._story import story as story  # noqa: E402
from devnet.viz._waves import activity as activity  # noqa: E402
from devnet.viz._waves import wave_frames as wave_frames  # noqa: E402
from devnet.viz._weights import weights_over_time as weights_over_time  # noqa: E402
from devnet.viz._windows import window as window  # noqa: E402
