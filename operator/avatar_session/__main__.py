"""`python -m avatar_session`: makes one session's video in its pod."""

from __future__ import annotations

import argparse
import asyncio
import os

from avatar_session.pod import PodFiles, add_options, configure_pod_logs, end_when_told, failure, leave


def main() -> None:
    """Reads the command line and works; ends the process."""
    parser = argparse.ArgumentParser(prog="avatar_session", description=__doc__)
    add_options(parser)
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    arguments = parser.parse_args()
    files = PodFiles.of(arguments)
    end_when_told(files)
    configure_pod_logs(arguments.log_level)
    try:
        from avatar_session.cluster_run import make_video  # a second, in which SIGTERM must be obeyed

        asyncio.run(make_video(files, os.environ, arguments.log_level))
    except Exception as error:  # a part of the image is missing
        words, code = failure(error)
        files.say(words)
        leave(code)


if __name__ == "__main__":
    main()
