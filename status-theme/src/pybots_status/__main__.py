"""`python -m pybots_status preview --out DIR`."""

import sys

from pybots_status.preview import main

sys.exit(main())
