"""`python -m pipelines.local FILE -p name=value`."""

import sys

from pipelines.local.run import main

sys.exit(main(sys.argv[1:]))
