"""Generates `avatar_protos` from the .proto files; `--check` only tells whether committed code is stale."""

from __future__ import annotations

import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent
PACKAGE = HERE / "avatar_protos"
PROTOS = {"v1alpha1": "avatars/inference/v1alpha1/lip_sync.proto"}


def generate(target: Path) -> None:
    """Writes every generated file below `target`, one folder a version of the contract."""
    for version, proto in PROTOS.items():
        with tempfile.TemporaryDirectory() as scratch:
            arguments = ["protoc", f"-I{HERE}", f"-I{files('grpc_tools') / '_proto'}"]
            arguments += [f"--{kind}_out={scratch}" for kind in ("python", "pyi", "grpc_python")]
            if protoc.main([*arguments, proto]) != 0:
                raise SystemExit(f"protoc failed on {proto}")
            folder = target / version
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").write_text(f'"""Generated from protos/{proto}."""\n')
            for made in Path(scratch).rglob("*.py*"):
                # protoc names modules after the .proto's folders; ours live below avatar_protos.
                package = proto.rsplit("/", 1)[0].replace("/", ".")
                ours = f"avatar_protos.{version}"
                text = made.read_text().replace(f"from {package} import", f"from {ours} import")
                (folder / made.name).write_text(text)


def stale() -> list[str]:
    """Names of committed files that differ from what the .proto files give."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        made = [path.relative_to(scratch) for path in Path(scratch).rglob("*.py*")]
        return [
            str(path)
            for path in made
            if not (PACKAGE / path).exists()
            or not filecmp.cmp(Path(scratch, path), PACKAGE / path, shallow=False)
        ]


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        if old := stale():
            raise SystemExit(f"stale: {', '.join(old)}; run `make protos`")
    else:
        generate(PACKAGE)
