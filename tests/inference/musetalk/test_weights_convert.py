"""Published checkpoints become tensors of our networks, and nothing in them runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.published import LEGACY, Tensors, as_published, networks, old_name, save

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.model import empty_networks
from avatar_inference.musetalk.weights import pickled
from avatar_inference.musetalk.weights.checkpoint import open_checkpoint
from avatar_inference.musetalk.weights.convert import read_part
from avatar_inference.musetalk.weights.pickled import Call, Name, Persistent, describe
from avatar_inference.musetalk.weights.storage import MAX_DIRECTORY_BYTES

PARTS = ("unet", "vae", "whisper", "landmarks", "detector", "parser")
CONTAINERS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "row"])


@pytest.fixture(scope="module")
def tiny() -> dict[str, Tensors]:
    return networks()


def equal(found: Tensors, expected: Tensors) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def fails(act: Callable[[], object]) -> str:
    with pytest.raises(WeightsError) as caught:
        act()
    assert caught.value.reason is Reason.WEIGHTS_INVALID
    return str(caught.value)


@CONTAINERS
@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_read_from_what_its_publisher_saves(
    tmp_path: Path, tiny: dict[str, Tensors], part: str, legacy: bool
) -> None:
    file = save(tmp_path / "file", as_published(part, tiny[part]), legacy=legacy)
    assert equal(read_part(part, file, TINY), tiny[part])


def test_the_vae_equals_what_diffusers_own_loader_makes_of_the_old_file(
    tmp_path: Path, tiny: dict[str, Tensors]
) -> None:
    _, vae = empty_networks(TINY)
    vae.save_config(tmp_path)
    file = save(tmp_path / "diffusion_pytorch_model.bin", as_published("vae", tiny["vae"]))
    loaded = AutoencoderKL.from_pretrained(tmp_path, use_safetensors=False, low_cpu_mem_usage=False)
    assert equal(read_part("vae", file, TINY), dict(loaded.state_dict()))
    assert {name for name in tiny["vae"] if old_name(name) != name} != set()


def test_attention_as_convolutions_of_one_pixel_is_read(tmp_path: Path, tiny: dict[str, Tensors]) -> None:
    convolutions = {
        old_name(name): tensor[:, :, None, None] if old_name(name) != name and tensor.ndim == 2 else tensor
        for name, tensor in tiny["vae"].items()
    }
    assert equal(read_part("vae", save(tmp_path / "file", convolutions), TINY), tiny["vae"])


def test_counters_that_old_checkpoints_lack_are_zero(tmp_path: Path, tiny: dict[str, Tensors]) -> None:
    counters = {name for name in tiny["parser"] if name.endswith("num_batches_tracked")}
    old = {name: tensor for name, tensor in tiny["parser"].items() if name not in counters}
    read = read_part("parser", save(tmp_path / "file", old, legacy=True), TINY)
    assert equal(read, tiny["parser"])
    assert len(old) < len(read)


def test_half_precision_and_strided_tensors_are_read(tmp_path: Path, tiny: dict[str, Tensors]) -> None:
    stored = {name: tensor.half() for name, tensor in tiny["detector"].items()}
    strided = tiny["detector"]["conv1_1.weight"].contiguous(memory_format=torch.channels_last)
    stored["conv1_1.weight"] = strided
    stored["fc7.weight"] = torch.nn.Parameter(tiny["detector"]["fc7.weight"])
    read = read_part("detector", save(tmp_path / "file", stored), TINY)
    assert strided.stride() != read["conv1_1.weight"].stride()
    assert torch.equal(read["conv1_1.weight"], tiny["detector"]["conv1_1.weight"])
    assert torch.equal(read["fc7.weight"], tiny["detector"]["fc7.weight"])
    assert read["fc6.weight"].dtype == torch.float16


def test_what_differs_from_the_network_is_named(tmp_path: Path, tiny: dict[str, Tensors]) -> None:
    wrong = dict(tiny["unet"])
    del wrong["conv_in.bias"]
    wrong["extra"] = torch.zeros(1)
    wrong["conv_out.bias"] = torch.zeros(5)
    told = fails(lambda: read_part("unet", save(tmp_path / "file", wrong), TINY))
    assert "lacks conv_in.bias; has unknown extra" in told
    assert "conv_out.bias is [5] instead of [4]" in told


def test_another_part_is_no_substitute(tmp_path: Path, tiny: dict[str, Tensors]) -> None:
    told = fails(lambda: read_part("vae", save(tmp_path / "file", tiny["unet"]), TINY))
    assert "and 241 more" in told


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self._path, "ran")


@CONTAINERS
@pytest.mark.parametrize(
    "wrap",
    [
        lambda canary: canary,
        lambda canary: {"state_dict": canary},
        lambda canary: {"state_dict": {"conv_in.bias": canary}},
        lambda canary: {"conv_in.bias": canary},
        lambda canary: {canary: torch.zeros(1)},
        lambda canary: {"state_dict": {}, "meta": [canary]},
    ],
)
def test_code_in_a_checkpoint_does_not_run(
    tmp_path: Path, wrap: Callable[[Canary], Any], legacy: bool
) -> None:
    canary = tmp_path / "canary"
    file = save(tmp_path / "file", wrap(Canary(canary)), legacy=legacy)
    fails(lambda: read_part("unet", file, TINY))
    assert not canary.exists()
    torch.load(file, weights_only=False)
    assert canary.exists(), "the checkpoint would not have run anything anyway"


def test_a_canary_beside_the_weights_is_inert(tmp_path: Path, tiny: dict[str, Tensors]) -> None:
    canary = tmp_path / "canary"
    content = {"state_dict": tiny["detector"], "log": Canary(canary)}
    assert equal(read_part("detector", save(tmp_path / "file", content), TINY), tiny["detector"])
    assert not canary.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch CANARY'\ntR.",
        b"(S'touch CANARY'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch CANARY'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch CANARY\x85R.",
        b"\x80\x02\x82\x01.",
        b"\x80\x05\x97.",
        b"Pid\n.",
    ],
)
def test_instructions_are_described_or_refused(
    program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        value = describe(io.BytesIO(program)).value
    except ValueError:
        pass
    else:
        assert isinstance(value, Call)
        assert (value.function, value.arguments) == ("os.system", ("touch CANARY",))
    assert list(tmp_path.iterdir()) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
        ),
        max_leaves=20,
    ),
    st.integers(1, 5),
)
def test_plain_values_are_described_as_pickle_would_load_them(value: Any, protocol: int) -> None:
    # Protocol 2 and below write bytes as a call of codecs.encode, which stays one.
    if protocol > 2 or not _has_bytes(value):
        assert describe(io.BytesIO(pickle.dumps(value, protocol))).value == value


def _has_bytes(value: Any) -> bool:
    items = [*value, *value.values()] if isinstance(value, dict) else value
    inner = isinstance(value, (list, tuple, dict)) and any(_has_bytes(item) for item in items)
    return isinstance(value, bytes) or inner


@given(st.binary(max_size=200))
def test_any_bytes_are_described_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        describe(io.BytesIO(data))


def test_references_and_names_are_inert() -> None:
    description = describe(io.BytesIO(b"\x80\x02ctorch\nFloatStorage\nQ."))
    assert isinstance(description.value, Persistent)
    assert description.value.key == Name("torch.FloatStorage")
    assert description.references == (description.value,)


def test_a_pickle_without_end_is_stopped() -> None:
    with pytest.raises(ValueError, match="steps"):
        describe(io.BytesIO(b"]0" * pickled.MAX_STEPS))


def test_a_memory_index_of_billions_takes_no_memory() -> None:
    assert describe(io.BytesIO(b"\x80\x02]r\xff\xff\xff\xff.")).value == []


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_checkpoint_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    legacy = data.draw(st.booleans())
    file = tmp_path_factory.mktemp("damaged") / "file"
    content = bytearray(save(file, {"a": torch.ones(2, 3), "b": torch.zeros(4)}, legacy=legacy).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))] or content)
    with suppress(WeightsError), open_checkpoint(file) as checkpoint:
        for name in checkpoint.shapes:
            checkpoint.tensor(name)


def rewritten(file: Path, change: Callable[[str, bytes], bytes | None], compression: int = 0) -> Path:
    """The archive with changed entries; None leaves one out."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in entries.items():
            if (changed := change(name, data)) is not None:
                archive.writestr(name, changed)
    return file


def read(file: Path) -> Tensors:
    with open_checkpoint(file) as checkpoint:
        return {name: checkpoint.tensor(name) for name in checkpoint.shapes}


def simple(folder: Path, tensor: torch.Tensor | None = None) -> Path:
    return save(folder / "file", {"a": torch.arange(6.0) if tensor is None else tensor})


def test_a_rewritten_archive_is_read(tmp_path: Path) -> None:
    file = rewritten(simple(tmp_path), lambda _, data: data)
    assert torch.equal(read(file)["a"], torch.arange(6.0))


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    bomb = rewritten(simple(tmp_path, torch.zeros(5_000_000)), lambda _, data: data, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    assert "is compressed" in fails(lambda: read(bomb))


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    file = simple(tmp_path)
    data = bytearray(file.read_bytes())
    for start in (b"PK\x01\x02", b"PK\x03\x04"):  # the flag that says so, in the directory and at each entry
        at = -1
        while (at := data.find(start, at + 1)) >= 0:
            data[at + (8 if start == b"PK\x01\x02" else 6)] |= 1
    file.write_bytes(data)
    assert "encrypted" in fails(lambda: read(file))


def test_an_entry_that_lies_before_the_file_is_refused(tmp_path: Path) -> None:
    file = simple(tmp_path)
    data = bytearray(file.read_bytes())
    end = data.rindex(b"PK\x06\x06")
    begin = int.from_bytes(data[end + 48 : end + 56], "little")
    # Were the directory said to begin later than it does, all entries would begin so much earlier.
    data[end + 48 : end + 56] = (begin + 1000).to_bytes(8, "little")
    file.write_bytes(data)
    fails(lambda: read(file))


def test_storages_of_another_size_are_refused(tmp_path: Path) -> None:
    short = rewritten(simple(tmp_path), lambda name, data: data[:-4] if "/data/" in name else data)
    assert "20 bytes instead of 24" in fails(lambda: read(short))
    long = rewritten(simple(tmp_path), lambda name, data: data + b"1234" if "/data/" in name else data)
    assert "at most 24" in fails(lambda: read(long))
    none = rewritten(simple(tmp_path), lambda name, data: None if "/data/" in name else data)
    fails(lambda: read(none))


def test_big_endian_and_foreign_archives_are_refused(tmp_path: Path) -> None:
    big = rewritten(simple(tmp_path), lambda name, data: b"big" if name.endswith("byteorder") else data)
    assert "little-endian" in fails(lambda: read(big))
    foreign = rewritten(simple(tmp_path), lambda name, data: None if name.endswith(".pkl") else data)
    assert "no archive of torch's" in fails(lambda: read(foreign))


def test_a_directory_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(70_000):
            archive.writestr(f"{number:060}", b"")
    assert file.stat().st_size > MAX_DIRECTORY_BYTES
    assert "its directory claims" in fails(lambda: read(file))
    data = bytearray(file.read_bytes())
    end, large = data.rfind(b"PK\x05\x06"), data.rfind(b"PK\x06\x06")
    assert large > 0  # so many entries need the large record, which then counts, whatever the small one says
    data[end + 12 : end + 16] = struct.pack("<I", 100)
    file.write_bytes(data)
    assert "its directory claims" in fails(lambda: read(file))


def tensor_call(storage: tuple[Any, ...], *window: Any) -> Any:
    """A pickle of {"a": tensor} that torch would rebuild from this storage and window."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return storage if value == "the storage" else None

    class Tensor:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, ("the storage", *window, False, {})

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump({"a": Tensor()})
    return stream.getvalue()


FLOATS = ("storage", torch.FloatStorage, "0", "cpu", 6)


@pytest.mark.parametrize(
    ("storage", "window", "told"),
    [
        (FLOATS, (0, (10**9,), (0,)), "reaches out of its storage"),
        (FLOATS, (0, (7,), (1,)), "reaches out of its storage"),
        (FLOATS, (4, (3,), (1,)), "reaches out of its storage"),
        (FLOATS, (0, (2, 2), (5, 2)), "reaches out of its storage"),
        (FLOATS, (0, (6,), (-1,)), "no size"),
        (FLOATS, (-1, (6,), (1,)), "no size"),
        (FLOATS, (0, (6, 1), (1,)), "can't be read"),
        (FLOATS, (0, [6], (1,)), "no shape"),
        (FLOATS, (0, (10**30,), (1,)), "no size"),
        (("storage", torch.FloatStorage, "0", "cpu", 10**12), (0, (6,), (1,)), "add up"),
        (("storage", torch.ComplexFloatStorage, "0", "cpu", 3), (0, (3,), (1,)), "ComplexFloatStorage"),
        (("storage", torch.FloatStorage, "../version", "cpu", 6), (0, (6,), (1,)), "can't be read"),
        (("elsewhere", torch.FloatStorage, "0", "cpu", 6), (0, (6,), (1,)), "names no storage"),
    ],
)
def test_windows_that_lie_are_refused(
    tmp_path: Path, storage: tuple[Any, ...], window: tuple[Any, ...], told: str
) -> None:
    data = tensor_call(storage, *window)
    file = rewritten(simple(tmp_path), lambda name, old: data if name.endswith("data.pkl") else old)
    assert told in fails(lambda: read(file))


def test_a_thousand_tensors_of_one_storage_are_refused(tmp_path: Path) -> None:
    whole = torch.zeros(100_000)
    file = save(tmp_path / "file", {str(number): whole[number : number + 1] for number in range(1000)})
    assert "more than twice the file" in fails(lambda: read(file))


@pytest.mark.parametrize("keep", [0, 1, 8, 9, 100, 2000, -1, -100])
@CONTAINERS
def test_a_checkpoint_that_is_cut_off_is_refused(tmp_path: Path, keep: int, legacy: bool) -> None:
    file = save(tmp_path / "file", {"a": torch.zeros(1000)}, legacy=legacy)
    data = file.read_bytes()
    file.write_bytes(data[:keep])
    fails(lambda: read(file))


@pytest.mark.parametrize("length", [10 * 1024**3, 2**63, 2**64 - 1, 1000])
def test_a_safetensors_header_that_lies_is_refused(tmp_path: Path, length: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(struct.pack("<Q", length) + b'{"a":')
    assert "claims a header" in fails(lambda: read(file))


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4 * 10**9]}},
        {"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": 1},
        {},
    ],
)
def test_a_safetensors_table_that_lies_is_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    file, text = tmp_path / "file", json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")
    fails(lambda: read(file))


def test_links_pipes_and_folders_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(simple(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", ".", "nothing"):
        fails(lambda name=name: read(tmp_path / name))


def test_other_content_is_refused(tmp_path: Path) -> None:
    for content in ([torch.zeros(1)], {"state_dict": {"a": 1}}, {1: torch.zeros(1)}, torch.zeros(1)):
        fails(lambda content=content: read(save(tmp_path / "file", content)))
    assert set(PARTS) >= LEGACY
