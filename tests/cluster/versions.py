"""Other versions of this project, from its own history, to be run beside the present one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
PACKAGES = ("protos", "core", "inference", "operator")
_SCHEMA = """
import json
from avatar_operator.configuration import Configuration
print(json.dumps(Configuration.model_json_schema()))
"""


class NoHistoryError(Exception):
    """The commit is not there: a shallow clone, or no clone at all."""


def check_out(commit: str, folder: Path) -> Path:
    """The tree of a commit, in a folder.

    Raises:
        NoHistoryError: this clone does not have it.
    """
    command = ["git", "-C", str(ROOT), "archive", commit]
    ran = subprocess.run(command, capture_output=True, check=False)
    if ran.returncode:
        raise NoHistoryError(f"{commit[:12]} is not in this clone: {ran.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(ran.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def environment_of(tree: Path) -> dict[str, str]:
    """Lets Python take the packages of a tree, whatever is installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / package) for package in PACKAGES)}


def known_to(tree: Path, config: Json) -> Json:
    """An operator's configuration without the fields that the version in a tree does not know."""
    command = [sys.executable, "-c", _SCHEMA]
    ran = subprocess.run(command, capture_output=True, check=True, env=environment_of(tree))
    schema = json.loads(ran.stdout)
    return _pruned(config, schema, schema["$defs"])


def _pruned(config: Json, schema: Json, parts: Json) -> Json:
    """Follows what an object of the schema says of its fields."""
    kept: Json = {}
    for name, value in config.items():
        field = schema["properties"].get(name)
        if field is None:
            continue
        part = parts.get(field.get("$ref", "").rpartition("/")[2])
        kept[name] = _pruned(value, part, parts) if part else value
    return kept
