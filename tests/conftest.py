"""What every test may ask for."""

from __future__ import annotations

import signal
import threading

pytest_plugins = ["tests.cluster.fixtures"]


def pytest_configure() -> None:
    """Tests started in the background, as by `make test &`, ignore SIGINT, and so would what they start."""
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        and threading.current_thread() is threading.main_thread()
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)
