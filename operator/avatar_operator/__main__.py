"""`python -m avatar_operator --config FILE`: one replica of the operator."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from avatar_core.errors import AvatarError
from avatar_core.logs import configure_logs
from avatar_core.signals import end_when_told


def main() -> int:
    """Parses the command line and runs; returns the exit code."""
    parser = argparse.ArgumentParser(prog="avatar_operator", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the configuration, a YAML file")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    arguments = parser.parse_args()
    end_when_told()
    configure_logs(arguments.log_level)
    from avatar_operator.configuration import read_configuration  # seconds, in which SIGTERM must be obeyed
    from avatar_operator.main import operate

    try:
        return asyncio.run(operate(read_configuration(arguments.config)))
    except AvatarError as error:
        print(error, file=sys.stderr)
        return error.info.exit_code


if __name__ == "__main__":
    sys.exit(main())
