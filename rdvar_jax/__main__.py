"""Entry point of `python -m rdvar_jax`, which is `rdvar`."""

import sys

from rdvar_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
