"""``python -m numadelta`` is ``numadelta``."""

import sys

from numadelta.cli import main

sys.exit(main())
