"""``python -m asymfusion_ros.cli``: the ``asymfusion`` command where its program is not on the path."""

import sys

from asymfusion_ros.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
