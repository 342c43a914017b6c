from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from struct import pack
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference import bundle_pictures
from avatar_inference.bundle import Box, Bundle
from avatar_inference.bundle_io import read_bundle, write_bundle
from avatar_inference.bundle_pictures import VideoPictures
from avatar_inference.bundle_store import BundleStore


def make_bundle(seed: int = 0, pictures: int = 5, width: int = 96, height: int = 64) -> Bundle:
    rng = np.random.default_rng(seed)
    masks = [rng.integers(0, 256, (30, 40), dtype=np.uint8) for _ in range(2)]
    return Bundle(
        name="a face",
        engine="preview",
        width=width,
        height=height,
        times_us=[index * 40_000 for index in range(pictures)],
        boxes=[None if index % 4 == 3 else Box(index, 2, 40, 30) for index in range(pictures)],
        masks=[None if index % 4 == 3 else masks[index % 2].copy() for index in range(pictures)],
        pictures=[rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(pictures)],
        arrays={"latents": rng.random((pictures, 4, 8)).astype(np.float16), "flag": np.array([True])},
        notes=("a note",),
    )


def assert_same(got: Bundle, want: Bundle) -> None:
    for name in ("name", "engine", "width", "height", "notes"):
        assert getattr(got, name) == getattr(want, name)
    assert list(got.times_us) == list(want.times_us)
    assert list(got.boxes) == list(want.boxes)
    for mine, theirs in zip(got.masks, want.masks, strict=True):
        assert (mine is None) == (theirs is None)
        assert mine is None or np.array_equal(mine, theirs)
    assert len(got.pictures) == len(want.pictures)
    assert all(np.array_equal(got.pictures[i], want.pictures[i]) for i in range(len(want.pictures)))
    assert set(got.arrays) == set(want.arrays)
    for name, array in want.arrays.items():
        assert np.array_equal(got.arrays[name], array)
        assert got.arrays[name].dtype == array.dtype


sizes = st.integers(1, 24).map(lambda n: 2 * n)


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    width, height, count = draw(sizes), draw(sizes), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    boxes: list[Box | None] = []
    for _ in range(count):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        box = Box(x, y, int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1)))
        boxes.append(box if draw(st.booleans()) else None)
    levels = draw(st.sampled_from([1, 2, 256]))  # few levels: many identical masks
    return Bundle(
        name=draw(st.text(max_size=20)),
        engine="preview",
        width=width,
        height=height,
        times_us=[0, *np.cumsum(rng.integers(1, 10**6, count - 1)).tolist()],
        boxes=boxes,
        masks=[b and rng.integers(0, levels, (b.height, b.width)).astype(np.uint8) for b in boxes],
        pictures=[rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)],
        arrays={f"a{i}": rng.random((i, 3)).astype(np.float32) for i in range(draw(st.integers(0, 3)))},
        notes=tuple(draw(st.lists(st.text(max_size=10), max_size=3))),
    )


@settings(max_examples=25, deadline=None)
@given(bundle=bundles())
def test_a_bundle_comes_back_as_it_was(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    assert_same(read_bundle(folder, expect=write_bundle(bundle, folder)), bundle)


def test_the_same_content_has_the_same_id(tmp_path: Path) -> None:
    ids = {write_bundle(make_bundle(), tmp_path / name) for name in "ab"}
    again = read_bundle(tmp_path / "a", expect=None)
    ids.add(write_bundle(again, tmp_path / "c"))
    assert len(ids) == 1
    assert write_bundle(make_bundle(seed=1), tmp_path / "d") not in ids
    assert write_bundle(replace(make_bundle(), name="other"), tmp_path / "e") not in ids


def test_identical_masks_are_stored_and_held_once(tmp_path: Path) -> None:
    one = make_bundle(pictures=3)
    many = make_bundle(pictures=9)
    for name, bundle in (("one", one), ("many", many)):
        write_bundle(replace(bundle, arrays={}), tmp_path / name)
    sizes = [(tmp_path / name / "arrays.safetensors").stat().st_size for name in ("one", "many")]
    assert sizes[0] == sizes[1]
    got = read_bundle(tmp_path / "many", expect=None)
    assert len({id(mask) for mask in got.masks if mask is not None}) == 2


# What a hostile or broken bundle may hold. Each changes a folder and, where it can, mends the hashes so that
# the check under test is the one that must refuse it.


def mend(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for name, entry in manifest["files"].items():
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            entry |= {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    if change:
        change(manifest)
    path.write_text(json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def manifest_with(**fields: Any) -> Callable[[Path], None]:
    return lambda folder: mend(folder, lambda manifest: manifest.update(fields))


def face_with(**fields: Any) -> Callable[[Path], None]:
    return lambda folder: mend(folder, lambda manifest: manifest["faces"][0].update(fields))


def renamed_file(name: str) -> Callable[[Path], None]:
    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"].pop("pictures.mkv")

    return lambda folder: mend(folder, change)


def tensors(header: bytes, data: bytes = b"", length: int | None = None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        size = pack("<Q", len(header) if length is None else length)
        (folder / "arrays.safetensors").write_bytes(size + header + data)
        mend(folder)

    return change


def huge_tensor(folder: Path) -> None:
    shape = [2**31, 2**31]
    tensors(
        json.dumps({"mask.0": {"dtype": "U8", "shape": shape, "data_offsets": [0, 16]}}).encode(), bytes(16)
    )(folder)


def wrong_mask(dtype: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        path = folder / "arrays.safetensors"
        arrays = load_file(path)
        arrays["mask.0"] = arrays["mask.0"].astype(dtype)
        save_file(arrays, path)
        mend(folder)

    return change


def without_mask(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / "arrays.safetensors"
    save_file({name: array for name, array in load_file(path).items() if name != "mask.1"}, path)
    mend(folder)


def other_pictures(**size: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        other = folder.parent / "other"
        write_bundle(make_bundle(**size), other)
        shutil.copy(other / "pictures.mkv", folder / "pictures.mkv")
        mend(folder)

    return change


def another_codec(folder: Path) -> None:
    import av

    with av.open(folder / "pictures.mkv", "w", format="matroska") as sink:
        stream = sink.add_stream("mpeg4", rate=25, width=96, height=64)
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))
            frame.pts = index
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    mend(folder)


def cut(name: str, *, mended: bool) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        if mended:
            mend(folder)

    return change


def wiped(name: str, *, mended: bool) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        data = bytearray(path.read_bytes())
        middle = slice(len(data) // 4, len(data) // 2)
        data[middle] = bytes(len(data[middle]))
        path.write_bytes(data)
        if mended:
            mend(folder)

    return change


def linked(folder: Path) -> None:
    path = folder / "pictures.mkv"
    shutil.move(path, folder.parent / "elsewhere.mkv")
    path.symlink_to(folder.parent / "elsewhere.mkv")


def piped(folder: Path) -> None:
    (folder / "arrays.safetensors").unlink()
    os.mkfifo(folder / "arrays.safetensors")


def text(data: str | bytes) -> Callable[[Path], None]:
    return lambda folder: (
        (folder / "manifest.json").write_bytes(data.encode() if isinstance(data, str) else data) and None
    )


HOSTILE: dict[str, Callable[[Path], None]] = {
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "no pictures": lambda folder: (folder / "pictures.mkv").unlink(),
    "no arrays": lambda folder: (folder / "arrays.safetensors").unlink(),
    "not JSON": text("{"),
    "not UTF-8": text(b"\xff\xfe{}"),
    "a list": text("[]"),
    "deep nesting": text("[" * 100_000),
    "huge manifest": text("[" + "0," * 3_000_000 + "0]"),
    "huge number": text('{"width":' + "9" * 5000 + "}"),
    "not canonical": lambda folder: text((folder / "manifest.json").read_text().replace(",", ", "))(folder),
    "unknown field": manifest_with(extra=1),
    "unknown format": manifest_with(format="avatar-bundle/9"),
    "path out of the folder": renamed_file("../../etc/passwd"),
    "absolute path": renamed_file("/etc/passwd"),
    "wrong hash": lambda f: mend(f, lambda m: m["files"]["pictures.mkv"].update(sha256="0" * 64)),
    "wrong size": lambda f: mend(f, lambda m: m["files"]["pictures.mkv"].update(bytes=10)),
    "huge size": lambda f: mend(f, lambda m: m["files"]["arrays.safetensors"].update(bytes=2**62)),
    "huge width": manifest_with(width=2**31),
    "width not the pictures'": manifest_with(width=98),
    "odd height": manifest_with(height=63),
    "width as text": manifest_with(width="96"),
    "width as float": manifest_with(width=96.0),
    "no times": manifest_with(times_us=[], faces=[]),
    "too few times": manifest_with(times_us=[0, 40_000]),
    "more times than pictures": lambda f: mend(
        f, lambda m: m.update(times_us=[*m["times_us"], 10**6], faces=[*m["faces"], None])
    ),
    "fewer times than pictures": lambda f: mend(
        f, lambda m: m.update(times_us=m["times_us"][:-1], faces=m["faces"][:-1])
    ),
    "too many times": manifest_with(times_us=list(range(20_000)), faces=[None] * 20_000),
    "times that do not ascend": manifest_with(times_us=[0, 40_000, 40_000, 120_000, 160_000]),
    "times that do not begin at 0": manifest_with(times_us=[1, 40_000, 80_000, 120_000, 160_000]),
    "a negative time": manifest_with(times_us=[-5, 40_000, 80_000, 120_000, 160_000]),
    "a box to the right": face_with(x=57),
    "a box below": face_with(y=40),
    "a negative box": face_with(x=-1),
    "an empty box": face_with(width=0),
    "a box not of its mask's size": face_with(width=39),
    "an unknown mask": face_with(mask=7),
    "a negative mask": face_with(mask=-1),
    "a mask of floats": wrong_mask("float32"),
    "a signed mask": wrong_mask("int8"),
    "a missing mask": without_mask,
    "arrays of rubbish": tensors(b"\0" * 40),
    "arrays of a huge shape": huge_tensor,
    "arrays of a huge header": tensors(b"{}", length=2**63),
    "arrays past their end": tensors(
        b'{"mask.0":{"dtype":"U8","shape":[30,40],"data_offsets":[0,1200]}}', bytes(10)
    ),
    "pictures of another size": other_pictures(width=128),
    "more pictures": other_pictures(pictures=6),
    "another codec": another_codec,
    "cut pictures": cut("pictures.mkv", mended=False),
    "cut pictures, mended": cut("pictures.mkv", mended=True),
    "wiped pictures": wiped("pictures.mkv", mended=False),
    "wiped pictures, mended": wiped("pictures.mkv", mended=True),
    "cut arrays, mended": cut("arrays.safetensors", mended=True),
    "a link": linked,
    "a pipe": piped,
}


@pytest.mark.parametrize("attack", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_bundle_is_refused(attack: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(make_bundle(), folder)
    attack(folder)
    tracemalloc.start()
    with pytest.raises(InvalidInputError) as caught:
        read_bundle(folder, expect=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.reason is Reason.AVATAR_INVALID
    assert peak < 64 * 1024 * 1024


def test_any_change_breaks_the_expected_id(tmp_path: Path) -> None:
    name = write_bundle(make_bundle(), tmp_path)
    read_bundle(tmp_path, expect=name)
    mend(tmp_path, lambda manifest: manifest.update(name="someone else"))
    read_bundle(tmp_path, expect=None)
    with pytest.raises(InvalidInputError, match="not sha256:"):
        read_bundle(tmp_path, expect=name)


@pytest.mark.parametrize(
    "change",
    [
        {"times_us": [0, 1]},
        {"boxes": [Box(90, 0, 40, 30)] * 5},
        {"masks": [np.zeros((5, 5), np.uint8)] * 5},
        {"masks": [np.zeros((30, 40), np.float32)] * 5},
        {"width": 95},
        {"pictures": []},
        {"name": "x" * 300},
    ],
)
def test_a_contradictory_bundle_is_not_written(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        write_bundle(replace(make_bundle(), **change), tmp_path / "bundle")
    assert caught.value.reason is Reason.AVATAR_INVALID
    assert not (tmp_path / "bundle" / "manifest.json").exists()


def open_lazily(folder: Path, bundle: Bundle, capacity: int) -> VideoPictures:
    from avatar_inference.bundle_manifest import decode_manifest

    manifest = decode_manifest((folder / "manifest.json").read_bytes())
    return VideoPictures(folder / "pictures.mkv", manifest, capacity * 3 * bundle.width * bundle.height)


def test_large_bundles_are_decoded_as_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(pictures=12)
    write_bundle(bundle, tmp_path)
    monkeypatch.setattr(bundle_pictures, "WHOLE_BYTES", 1000)
    assert_same(read_bundle(tmp_path, expect=None), bundle)
    pictures = open_lazily(tmp_path, bundle, capacity=3)
    order = [*range(12), *range(11, -1, -1), 5, 5, 0, 11, 3, 4, 5]
    assert all(np.array_equal(pictures[index], bundle.pictures[index]) for index in order)
    assert len(pictures._cache) == 3
    with pytest.raises(ValueError, match="read-only"):
        pictures[0][0, 0, 0] = 1
    for outside in (-1, 12):
        with pytest.raises(IndexError):
            pictures[outside]


def test_pictures_may_be_read_from_many_threads(tmp_path: Path) -> None:
    bundle = make_bundle(pictures=12)
    write_bundle(bundle, tmp_path)
    pictures = open_lazily(tmp_path, bundle, capacity=2)
    wrong: list[int] = []

    def read(seed: int) -> None:
        for index in np.random.default_rng(seed).integers(0, 12, 60).tolist():
            if not np.array_equal(pictures[index], bundle.pictures[index]):
                wrong.append(index)

    threads = [Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_damage_of_a_large_bundle_shows_when_it_is_asked_for(tmp_path: Path) -> None:
    bundle = make_bundle(pictures=12)
    write_bundle(bundle, tmp_path)
    wiped("pictures.mkv", mended=True)(tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        _ = [open_lazily(tmp_path, bundle, capacity=2)[index] for index in range(12)]
    assert caught.value.reason is Reason.AVATAR_INVALID


def test_the_store_gives_what_was_put(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "store")
    bundle = make_bundle()
    name = store.put(bundle)
    assert store.put(bundle) == name
    assert_same(store.get(name), bundle)
    assert store.get(name) is store.get(name)
    assert_same(BundleStore(tmp_path / "store").get(name), bundle)
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == [name.removeprefix("sha256:")]


@pytest.mark.parametrize(
    "name", ["", "ava", "sha256:", "sha256:" + "0" * 64, "sha256:../" + "0" * 61, "../x"]
)
def test_the_store_does_not_know_other_ids(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        BundleStore(tmp_path).get(name)
    assert caught.value.reason is Reason.AVATAR_NOT_FOUND


def test_the_store_refuses_what_was_tampered_with(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    name = store.put(make_bundle())
    wiped("pictures.mkv", mended=True)(tmp_path / name.removeprefix("sha256:"))
    with pytest.raises(InvalidInputError) as caught:
        store.get(name)
    assert caught.value.reason is Reason.AVATAR_INVALID


def test_nothing_of_a_failed_put_remains(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    with pytest.raises(InvalidInputError):
        store.put(replace(make_bundle(), boxes=[Box(90, 0, 40, 30)] * 5))
    assert list(tmp_path.iterdir()) == []


def test_the_store_forgets_the_least_recently_used(tmp_path: Path) -> None:
    store = BundleStore(tmp_path, memory_bytes=2 * 120_000)  # one bundle is about 96 kB
    names = [store.put(make_bundle(seed)) for seed in range(3)]
    first, second = store.get(names[0]), store.get(names[1])
    assert store.get(names[0]) is first
    store.get(names[2])
    assert store.get(names[0]) is first
    assert store.get(names[1]) is not second


def test_many_threads_load_a_bundle_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BundleStore(tmp_path)
    name = store.put(make_bundle())
    reads: list[str] = []

    def counted(folder: Path, *, expect: str | None) -> Bundle:
        reads.append(folder.name)
        return read_bundle(folder, expect=expect)

    monkeypatch.setattr("avatar_inference.bundle_store.read_bundle", counted)
    found: list[Bundle] = []
    threads = [Thread(target=lambda: found.append(store.get(name))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    assert len({id(bundle) for bundle in found}) == 1
    assert not store._loading
