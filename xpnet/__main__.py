"""`python -m xpnet` is the command `xpnet`."""

import sys

from xpnet.cli import main

sys.exit(main())
