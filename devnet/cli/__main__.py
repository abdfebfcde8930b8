"""``python -m devnet.cli``."""

import sys

from devnet.cli.main import main

sys.exit(main())
