"""What one session's process takes: CPU, with that of the voice, and memory; its server is another process.

python -m benchmarks.session            # replies of one, ten and forty sentences

As in a pod, all that a pod reads is imported and espeak-ng speaks; the store is a folder and nobody is told.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.render import server

SENTENCE = "A session's process waits for others most of the time, and holds little. "
LENGTHS = (1, 10, 40)
PROCESS = """
import asyncio, json, resource, sys
import avatar_session.cluster_run
from avatar_core.resources import ProviderSpec, SessionSpec
from avatar_core.store import ObjectStore
from avatar_inference.client import InferenceClient
from avatar_session.job import SessionJob
from avatar_session.pipeline import run_session
from avatar_session.surroundings import Surroundings

def used():
    own, voice = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + voice.ru_utime + voice.ru_stime
    return {"cpu": round(cpu, 2), "MiB": own.ru_maxrss // 1024}

async def main(target, folder, text):
    begun = used()
    spec = SessionSpec.model_validate({"text": text, "speech": {"voice": "en-us"}, "timeoutSeconds": 3600})
    job = SessionJob("bench", "default", "uid", spec, ProviderSpec())
    ignore = lambda _: None
    around = Surroundings(ObjectStore(folder), lambda: InferenceClient(target), ignore, ignore, {})
    receipt = await run_session(job, around)
    print(json.dumps({"seconds": receipt.video.seconds, "imports": begun, "all": used()}))

asyncio.run(main(*sys.argv[1:]))
"""


async def session(target: str, folder: Path, sentences: int) -> dict[str, Any]:
    """Runs one session in a new process; what it used, in seconds of CPU and MiB at most."""
    command = [sys.executable, "-c", PROCESS, target, str(folder), SENTENCE * sentences]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(out)
    return told


async def main() -> None:
    """Prints one line a length."""
    with tempfile.TemporaryDirectory() as folder:
        async with server(Path(folder) / "bundles") as (target, _):
            for sentences in LENGTHS:
                print(json.dumps(await session(target, Path(folder) / str(sentences), sentences)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
