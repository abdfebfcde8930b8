"""The command line ``devnet``: a thin layer over the verbs. Heavy libraries load inside the commands that need them."""

from devnet.cli.main import main as main
