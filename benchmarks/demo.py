"""The README's `make demo` from nothing and again: a fresh clone, an empty cache, all thrown away after.

python -m benchmarks.demo
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]


def run(folder: Path, cache: Path) -> float:
    """Seconds that `make demo` takes there."""
    keep = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    environment = keep | {"UV_CACHE_DIR": str(cache / "uv"), "PIP_CACHE_DIR": str(cache / "pip")}
    started = time.monotonic()
    subprocess.run(["make", "demo"], cwd=folder, env=environment, check=True, stdout=sys.stderr)
    return time.monotonic() - started


def main() -> None:
    """Prints both times and what was made."""
    with TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        cold, warm = run(clone, Path(scratch)), run(clone, Path(scratch))
        video = clone / "out/hello.mp4"
        times = f"{cold:.1f} s from nothing, {warm:.1f} s the second time"
        print(f"make demo: {times}, {video.stat().st_size} bytes")


if __name__ == "__main__":
    main()
