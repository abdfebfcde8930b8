"""Files: one writer, one array format with digest and schema, the nouns on disk, checkpoints, run folders. No pickle."""

from devnet._core.lock import locked as locked
from devnet.io.checkpoints import EVERY as EVERY
from devnet.io.checkpoints import Checkpoints as Checkpoints
from devnet.io.contents import artefacts as artefacts
from devnet.io.contents import read_run as read_run
from devnet.io.contents import verify as verify
from devnet.io.nouns import load as load
from devnet.io.nouns import save as save
from devnet.io.records import read_json as read_json
from devnet.io.runs import RunFolder as RunFolder
from devnet.io.tensors import library_version as library_version
from devnet.io.tensors import read_tensors as read_tensors
from devnet.io.tensors import write_tensors as write_tensors
from devnet.io.writer import digest as digest
from devnet.io.writer import make_folder as make_folder
from devnet.io.writer import regular as regular
from devnet.io.writer import write_bytes as write_bytes
from devnet.io.writer import write_json as write_json
from devnet.io.writer import write_text as write_text
