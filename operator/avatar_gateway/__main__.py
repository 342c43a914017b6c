"""`python -m avatar_gateway --config FILE`: one gateway."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from avatar_core.errors import AvatarError
from avatar_core.logs import configure_logs
from avatar_core.signals import end_when_told


def main() -> None:
    """Parses the command line and serves; ends the process."""
    parser = argparse.ArgumentParser(prog="avatar_gateway", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the configuration, a YAML file")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    arguments = parser.parse_args()
    end_when_told()
    configure_logs(arguments.log_level)
    from avatar_gateway.configuration import read_configuration  # seconds, in which SIGTERM must be obeyed
    from avatar_gateway.main import serve_gateway

    code = 0
    try:
        asyncio.run(serve_gateway(read_configuration(arguments.config)))
    except AvatarError as error:
        print(error, file=sys.stderr)
        code = error.info.exit_code
    logging.shutdown()
    os._exit(code)  # threads of the store's library abort an interpreter that is being taken down


if __name__ == "__main__":
    main()
