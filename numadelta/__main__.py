"""``python -m numadelta`` is ``numadelta``."""

import sys

from numadelta.cli import main

if __name__ == "__main__":
    sys.exit(main())
