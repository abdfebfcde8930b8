"""The nouns: Sheet, Recording, Wiring; scaffolds and their geometry."""

from devnet.sheet.geometry import Scaffold as Scaffold
from devnet.sheet.nouns import Recording as Recording
from devnet.sheet.nouns import Sheet as Sheet
from devnet.sheet.nouns import Wiring as Wiring
from devnet.sheet.surface import PLANE as PLANE
from devnet.sheet.surface import Surface as Surface
