# PYTHON_ARGCOMPLETE_OK
"""`python -m llmnet` is the command line."""

import sys

from llmnet.cli import main

sys.exit(main())
