"""A folder of weights: written whole, read strictly, refused when anything is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.support.disks import small_disk
from torch import Tensor

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.layout import MUSETALK, TINY
from avatar_inference.musetalk.model import empty_networks
from avatar_inference.musetalk.vae import CropDecoder
from avatar_inference.musetalk.weights import (
    Source,
    Weights,
    default_folder,
    open_weights,
    random_weights,
    write_weights,
)
from avatar_inference.musetalk.weights.catalogue import BY_NAME, DRAWING, PARTS
from avatar_inference.musetalk.weights.modules import empty_module, fresh_module
from avatar_inference.musetalk.weights.verify import verify_part


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return random_weights(tmp_path_factory.mktemp("made"), TINY, 3, [part.name for part in PARTS])


@pytest.fixture
def folder(made: Weights, tmp_path: Path) -> Path:
    """A copy that may be harmed."""
    for file in made.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def fails(act: Callable[[], object], reason: Reason = Reason.WEIGHTS_INVALID) -> str:
    with pytest.raises(WeightsError) as caught:
        act()
    assert caught.value.reason is reason
    return str(caught.value)


def test_what_was_written_is_read(made: Weights) -> None:
    assert made.layout == TINY
    assert not made.official
    assert set(made.sha256) == {part.name for part in PARTS}
    for part in PARTS:
        torch.manual_seed(0)
        module = fresh_module(part.name, TINY)
        made.load(part.name, module)
        tensors, state = made.tensors(part.name), module.state_dict()
        assert tensors.keys() == state.keys()
        assert all(torch.equal(tensors[name], state[name]) for name in state)
        assert verify_part(made, part.name) == sum(tensor.numel() for tensor in state.values())


def test_the_same_seed_gives_the_same_files_and_leaves_torchs_alone(made: Weights, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    again, other = random_weights(tmp_path / "a", TINY, 3), random_weights(tmp_path / "b", TINY, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(again.sha256[part] == made.sha256[part] != other.sha256[part] for part in DRAWING)
    assert not again.has("parser")


def test_random_weights_draw_pixels_that_are_not_saturated(made: Weights) -> None:
    _, vae = empty_networks(TINY)
    made.load("vae", vae)
    with torch.inference_mode():
        pixels = CropDecoder(vae)(torch.randn(4, 4, 32, 32)).float()
    assert 20 < pixels.std() < 90
    assert ((pixels == 0) | (pixels == 255)).float().mean() < 0.05


def test_half_precision_is_stored_as_float32(tmp_path: Path) -> None:
    values: dict[str, Tensor] = {
        "a": torch.ones(2).half(),
        "b": torch.ones(2).double(),
        "c": torch.ones(1).int(),
    }
    write_weights(tmp_path, {"unet": values}, TINY)
    read = open_weights(tmp_path).tensors("unet")
    assert [read[name].dtype for name in "abc"] == [torch.float32, torch.float32, torch.int64]


def test_a_part_joins_those_of_the_same_layout_and_replaces_others(folder: Path) -> None:
    write_weights(folder, {"vae": {"a": torch.zeros(1)}}, TINY)
    assert set(open_weights(folder).sha256) == {part.name for part in PARTS}
    assert open_weights(folder).tensors("vae").keys() == {"a"}
    write_weights(folder, {"vae": {"a": torch.zeros(1)}}, replace(TINY, heads=4))
    assert set(open_weights(folder).sha256) == {"vae"}


def test_other_users_may_read_them(folder: Path) -> None:
    write_weights(folder, {"vae": {"a": torch.zeros(1)}}, TINY)
    assert {oct((folder / name).stat().st_mode & 0o777) for name in ("weights.json", "vae.safetensors")} == {
        "0o644"
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_not_written(folder: Path, value: float) -> None:
    before = open_weights(folder).sha256
    broken = {"a": torch.ones(3), "b": torch.tensor([1.0, value])}
    assert "vae: b holds" in fails(lambda: write_weights(folder, {"vae": broken}, TINY))
    assert open_weights(folder).sha256 == before
    assert list(folder.glob(".*")) == []


def test_missing_weights_are_told_with_the_command(tmp_path: Path) -> None:
    nowhere = tmp_path / "no where"
    told = fails(lambda: open_weights(nowhere), Reason.WEIGHTS_MISSING)
    assert f"run `avatar weights fetch --folder '{nowhere}'`" in told
    assert WeightsError(Reason.WEIGHTS_MISSING, "").info.grpc == "FAILED_PRECONDITION"


def test_a_missing_part_is_told_with_the_command(tmp_path: Path) -> None:
    weights = random_weights(tmp_path, TINY, 0, ["vae"])
    told = fails(lambda: weights.tensors("unet"), Reason.WEIGHTS_MISSING)
    assert told.endswith(f"have no part unet; run `avatar weights fetch --folder {tmp_path}`")
    told = fails(lambda: weights.tensors("parser"), Reason.WEIGHTS_MISSING)
    assert told.endswith(f"fetch --folder {tmp_path} --with parser`")


def test_where_weights_lie_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.delenv("AVATAR_WEIGHTS", raising=False)
    assert default_folder() == Path("/data/avatar-operator/weights")
    monkeypatch.setenv("AVATAR_WEIGHTS", "/weights")
    assert default_folder() == Path("/weights")


def test_only_published_files_are_official(tmp_path: Path) -> None:
    def written(**sources: str) -> Weights:
        origins = {part: BY_NAME[part].origins[0] for part in DRAWING}
        write_weights(
            tmp_path,
            {part: {"a": torch.zeros(1)} for part in DRAWING},
            TINY,
            {
                part: Source(**(asdict(origins[part]) | {"sha256": sha256}))
                for part, sha256 in sources.items()
            },
        )
        return open_weights(tmp_path)

    published = {part: BY_NAME[part].origins[-1].sha256 for part in DRAWING}
    assert written(**published).official
    assert not written(**published | {"vae": "0" * 64}).official
    assert not written(unet=published["unet"], vae=published["vae"]).official


def edited(folder: Path, **changes: Any) -> None:
    record = json.loads((folder / "weights.json").read_text())
    (folder / "weights.json").write_text(json.dumps(record | changes))


def layouts(**changes: Any) -> dict[str, Any]:
    return asdict(TINY) | changes


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": "avatar-weights/2"}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"layout": {}}, None),
        ({"layout": layouts(unet_channels=[16, 32, 32, 100_000])}, "layout.unet_channels"),
        ({"layout": layouts(unet_channels=[16, 32, 32])}, "unet_channels"),
        ({"layout": layouts(audio_layers=10_000)}, "layout.audio_layers is 10000; allowed is 1 to 4"),
        ({"layout": layouts(heads=0)}, "layout.heads"),
        ({"layout": layouts(heads=5)}, "must be multiples of 5"),
        ({"layout": layouts(width="384")}, "layout.width"),
        ({"layout": layouts(finder_width=1 << 40)}, "layout.finder_width"),
        ({"parts": {"../../etc": {"bytes": 1, "sha256": "0" * 64}}}, "parts"),
        ({"parts": {"unet": {"bytes": -1, "sha256": "0" * 64}}}, "parts.unet.bytes"),
        ({"parts": {"unet": {"bytes": 1 << 50, "sha256": "0" * 64}}}, "parts.unet.bytes"),
        ({"parts": {"unet": {"bytes": 1, "sha256": "0"}}}, "parts.unet.sha256"),
        ({"parts": {"unet": {"bytes": 1, "sha256": "0" * 64, "file": "/etc/passwd"}}}, "parts.unet.file"),
    ],
)
def test_a_record_that_is_wrong_is_refused(folder: Path, changes: dict[str, Any], told: str | None) -> None:
    edited(folder, **changes)
    if told is None:  # all sizes are the published ones by default, and the files have others
        fails(lambda: open_weights(folder).load("unet", empty_module("unet", MUSETALK)))
    else:
        assert told in fails(lambda: open_weights(folder))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 60_000, b" " * 70_000, b'{"format": 1e999}', b"null"]
)
def test_a_record_that_is_no_record_is_refused(folder: Path, content: bytes) -> None:
    (folder / "weights.json").write_bytes(content)
    fails(lambda: open_weights(folder))


def test_links_and_pipes_are_not_opened(folder: Path, made: Weights) -> None:
    (folder / "unet.safetensors").unlink()
    (folder / "unet.safetensors").symlink_to(made.folder / "unet.safetensors")
    fails(lambda: open_weights(folder).tensors("unet"))
    (folder / "unet.safetensors").unlink()
    os.mkfifo(folder / "unet.safetensors")
    fails(lambda: open_weights(folder).tensors("unet"))
    (folder / "weights.json").unlink()
    (folder / "weights.json").symlink_to(made.folder / "weights.json")
    fails(lambda: open_weights(folder))


def test_damage_is_found_by_size_and_hash(folder: Path) -> None:
    file = folder / "vae.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert "has the SHA-256" in fails(lambda: open_weights(folder).tensors("vae"))
    assert open_weights(folder).has("vae")
    file.write_bytes(data[:-1])
    assert "instead of" in fails(lambda: open_weights(folder).tensors("vae"))
    assert not open_weights(folder).has("vae")
    file.unlink()
    fails(lambda: open_weights(folder).tensors("vae"))


def adopted(folder: Path, part: str, data: bytes) -> Weights:
    """A folder whose record vouches for this file."""
    (folder / f"{part}.safetensors").write_bytes(data)
    edited(folder, parts={part: {"bytes": len(data), "sha256": sha256(data).hexdigest()}})
    return open_weights(folder)


@pytest.mark.parametrize("length", [10 * 1024**3, 2**64 - 1, 10**6])
def test_a_header_that_lies_is_refused(folder: Path, length: int) -> None:
    weights = adopted(folder, "unet", length.to_bytes(8, "little") + b"{}")
    assert "claims a header" in fails(lambda: weights.tensors("unet"))


@pytest.mark.parametrize("data", [b"x", b"\x80\x02.", b"\2\0\0\0\0\0\0\0{}zero", b"\4\0\0\0\0\0\0\0nope"])
def test_files_that_are_no_safetensors_are_refused(folder: Path, data: bytes) -> None:
    weights = adopted(folder, "unet", data)
    fails(lambda: weights.tensors("unet"))
    fails(lambda: weights.load("unet", empty_module("unet", TINY)))


def with_tensors(folder: Path, part: str, tensors: dict[str, Tensor]) -> Weights:
    save_file(tensors, folder / "new")
    return adopted(folder, part, (folder / "new").read_bytes())


def test_names_and_shapes_that_differ_are_told_and_nothing_is_loaded(folder: Path, made: Weights) -> None:
    tensors = made.tensors("vae")
    del tensors["decoder.conv_in.bias"]
    tensors |= {"extra": torch.zeros(1), "encoder.conv_in.bias": torch.zeros(9)}
    weights = with_tensors(folder, "vae", tensors)
    module = fresh_module("vae", TINY)
    before = module.state_dict()["decoder.conv_out.weight"].clone()
    told = fails(lambda: weights.load("vae", module))
    assert "lacks decoder.conv_in.bias; has unknown extra; " in told
    assert "encoder.conv_in.bias is [9] instead of [8]" in told
    assert torch.equal(module.state_dict()["decoder.conv_out.weight"], before)
    assert told == fails(lambda: verify_part(weights, "vae"))


def test_values_that_are_not_finite_are_found(folder: Path, made: Weights) -> None:
    tensors = made.tensors("vae")
    tensors["decoder.conv_in.bias"][0] = torch.nan
    weights = with_tensors(folder, "vae", tensors)
    assert "not finite, in decoder.conv_in.bias" in fails(lambda: verify_part(weights, "vae"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "tiny", "2m") as disk:
        yield disk


def test_a_full_disk_leaves_what_was_there(tiny_disk: Path) -> None:
    small, large = {"a": torch.ones(10)}, {"a": torch.ones(10**6)}
    write_weights(tiny_disk, {"vae": small}, TINY)
    told = fails(lambda: write_weights(tiny_disk, {"vae": large, "unet": small}, TINY), Reason.DISK_FULL)
    assert f"no room for vae.safetensors in {tiny_disk}" in told
    assert torch.equal(open_weights(tiny_disk).tensors("vae")["a"], torch.ones(10))
    assert {path.name for path in tiny_disk.iterdir()} == {"vae.safetensors", "weights.json"}


def test_reading_the_record_needs_no_torch(made: Weights) -> None:
    program = (
        "import sys, pathlib\n"
        "from avatar_inference.musetalk.weights import open_weights\n"
        f"assert open_weights(pathlib.Path({str(made.folder)!r})).has('unet')\n"
        "print({'torch', 'diffusers', 'transformers', 'httpx2'} & set(sys.modules))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_the_published_networks_have_the_sizes_that_are_known_of_their_files() -> None:
    """Tensors and bytes of the published files, counters of batch norms aside (they are not in all)."""
    known = {
        "unet": (686, 3_399_791_376),
        "vae": (248, 334_615_452),
        "landmarks": (395, 134_599_836),
    }
    for part, (count, size) in known.items():
        state = empty_module(part, MUSETALK).state_dict()
        tensors = [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]
        assert (len(tensors), sum(tensor.numel() * 4 for tensor in tensors)) == (count, size), part
