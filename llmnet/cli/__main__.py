"""`python -m llmnet.cli`."""

import sys

from llmnet.cli import main

sys.exit(main())
