"""`python -m avatar_session.prepare`: prepares one avatar in its pod."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path

from avatar_session.pod import PodFiles, add_options, configure_pod_logs, end_when_told, failure, leave

log = logging.getLogger(__name__)
DOCUMENT = Path("/etc/avatar/prepare.json")


def main() -> None:
    """Reads the command line and works; ends the process."""
    parser = argparse.ArgumentParser(prog="avatar_session.prepare", description=__doc__)
    add_options(parser, PodFiles(document=DOCUMENT))
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    arguments = parser.parse_args()
    files = PodFiles.of(arguments)
    end_when_told(files)
    configure_pod_logs(arguments.log_level)
    code = 0
    try:
        from avatar_session.preparation import prepare_avatar  # a second, in which SIGTERM must be obeyed

        files.say(asyncio.run(prepare_avatar(files, os.environ)))
    except Exception as error:
        words, code = failure(error)
        log.error("%s: %s", words["reason"], words["message"])
        files.say(words)
    leave(code)


if __name__ == "__main__":
    main()
