"""The nouns: Sheet, Recording, Wiring; scaffolds and their geometry."""

from devnet.sheet.frames import Frames as Frames
from devnet.sheet.geometry import Scaffold as Scaffold
from devnet.sheet.nouns import Recording as Recording
from devnet.sheet.nouns import Sheet as Sheet
from devnet.sheet.nouns import Wiring as Wiring
from devnet.sheet.stack import Layer as Layer
from devnet.sheet.stack import Stack as Stack
from devnet.sheet.stack import even_places as even_places
from devnet.sheet.surface import PLANE as PLANE
from devnet.sheet.surface import Surface as Surface
