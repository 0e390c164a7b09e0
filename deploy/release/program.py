"""The zipapp's beginning: `healthd`, or `healthd-deploy` where the file is called by that name.

One file serves both: `ln -s healthd.pyz healthd-deploy`.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the command that the file is called by."""
    if Path(sys.argv[0]).name.startswith("healthd-deploy"):
        from healthd_deploy.cli import run as deploy

        deploy()
    else:
        from healthd.__main__ import main as daemon

        daemon()
