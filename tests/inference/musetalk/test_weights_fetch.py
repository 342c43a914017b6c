"""The whole way: from a mirror or a folder to weights that load, once, whoever asks and however often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.support import mirror as faults
from tests.support.disks import remount, small_disk
from tests.support.mirror import Mirror, serving
from tests.support.published import Tensors, networks, publish

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.layout import MUSETALK, TINY
from avatar_inference.musetalk.weights import catalogue, fetch, open_weights, supply
from avatar_inference.musetalk.weights.catalogue import Part
from avatar_inference.musetalk.weights.fetch import News, Stage
from avatar_inference.musetalk.weights.hub import Hub
from avatar_inference.musetalk.weights.supply import from_folder, from_hub


@dataclass
class World:
    """A published world of small networks, and a folder to bring them to."""

    mirror: Mirror
    parts: tuple[Part, ...]
    tensors: dict[str, Tensors]
    published: Path
    folder: Path
    news: list[News] = field(default_factory=list)

    def fetch(self, *names: str, local: bool = False) -> None:
        """Brings these parts; without names the required ones."""
        wanted = [part for part in self.parts if (part.name in names if names else not part.optional)]
        hub = Hub(self.mirror.url, sleep=lambda _: None)
        bring = from_folder(self.published) if local else from_hub(self.folder, hub)
        fetch.fetch(self.folder, wanted, bring, self.news.append, TINY)

    def stages(self, part: str) -> list[Stage]:
        """What happened to a part, in order, each once."""
        return list(dict.fromkeys(news.stage for news in self.news if news.part == part))

    def loads(self, *parts: str) -> bool:
        """Whether the folder holds exactly these parts, equal to the published ones."""
        weights = open_weights(self.folder)
        return set(weights.sha256) == set(parts) and all(
            torch.equal(tensor, self.tensors[part][name])
            for part in parts
            for name, tensor in weights.tensors(part).items()
        )


Published = tuple[Path, dict[str, Tensors], tuple[Part, ...], dict[str, bytes]]


Published = tuple[Path, dict[str, Tensors], tuple[Part, ...], dict[str, bytes]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("published")
    tensors = networks()
    return folder, tensors, *publish(folder, tensors)


@pytest.fixture
def world(tiny: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    published, tensors, parts, files = tiny
    monkeypatch.setattr(catalogue, "BY_NAME", {part.name: part for part in parts})
    with serving(dict(files)) as mirror:
        yield World(mirror, parts, tensors, published, tmp_path / "weights")


def test_weights_come_from_a_mirror_and_load(world: World) -> None:
    world.fetch()
    assert world.loads("unet", "vae", "whisper", "landmarks")
    weights = open_weights(world.folder)
    assert weights.official
    assert weights.entry("unet").source is not None
    assert weights.entry("unet").source.revision == world.parts[0].origins[0].revision
    assert world.stages("unet") == [Stage.FETCHING, Stage.CONVERTING, Stage.READY]
    assert {path.name for path in world.folder.iterdir()} == {
        ".lock", "weights.json", *(f"{part}.safetensors" for part in weights.sha256)
    }  # fmt: skip


def test_research_only_parts_come_only_when_asked_for(world: World) -> None:
    assert {part.name for part in world.parts if part.optional} == {"detector", "parser"}
    world.fetch()
    assert not [asked for asked in world.mirror.asked if "s3fd" in asked.path or "79999" in asked.path]
    world.fetch("detector", "parser")
    assert world.loads("unet", "vae", "whisper", "landmarks", "detector", "parser")


def test_a_second_run_checks_and_asks_nobody(world: World) -> None:
    world.fetch()
    asked, before = len(world.mirror.asked), (world.folder / "weights.json").read_bytes()
    world.news.clear()
    world.fetch()
    assert len(world.mirror.asked) == asked
    assert world.stages("unet") == [Stage.CHECKING, Stage.READY]
    assert (world.folder / "weights.json").read_bytes() == before


@pytest.mark.parametrize("harm", ["flipped", "gone", "record"])
def test_what_was_harmed_is_brought_anew_and_nothing_else(world: World, harm: str) -> None:
    world.fetch("vae", "detector")
    world.mirror.asked.clear()
    file = world.folder / "vae.safetensors"
    if harm == "flipped":
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    elif harm == "gone":
        file.unlink()
    else:
        (world.folder / "weights.json").write_text("{")
    world.fetch("vae", "detector")
    assert world.loads("vae", "detector")
    assert len(world.mirror.asked) == (2 if harm == "record" else 1)


def test_a_cut_in_the_midst_is_resumed_by_the_next_run(world: World) -> None:
    world.fetch("detector")
    world.mirror.asked.clear()
    world.mirror.faults.extend([faults.cut(1_000_000), *[faults.status(503)] * 20])
    with pytest.raises(WeightsError) as caught:
        world.fetch("unet", "detector")
    assert caught.value.reason is Reason.WEIGHTS_UNAVAILABLE
    assert world.loads("detector")
    world.mirror.faults.clear()
    world.fetch("unet", "detector")
    assert world.loads("unet", "detector")
    assert world.mirror.ranges[-1] == "bytes=1000000-"


def test_what_a_killed_conversion_left_is_cleared(world: World) -> None:
    left = world.folder / ".writing-abc"
    left.mkdir(parents=True)
    (left / "unet.safetensors").write_bytes(b"half")
    world.fetch("detector")
    assert not left.exists()


def test_a_wrong_file_is_refused_and_what_was_there_stays(world: World) -> None:
    world.fetch("detector")
    path = next(path for path in world.mirror.files if path.endswith("79999_iter.pth"))
    data = world.mirror.files[path]
    world.mirror.files[path] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(WeightsError, match="expected SHA-256") as caught:
        world.fetch("parser")
    assert caught.value.reason is Reason.WEIGHTS_INVALID
    assert world.loads("detector")


def test_files_of_a_folder_are_found_by_their_content(world: World) -> None:
    hidden = world.published / "deep" / "er"
    hidden.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(path for path in world.published.iterdir() if path.is_file()):
        file.rename(hidden / f"blob{number}")
    (world.published / "endless").unlink(missing_ok=True)
    (world.published / "endless").symlink_to(world.published)
    world.fetch(*catalogue.BY_NAME, local=True)
    assert world.loads(*catalogue.BY_NAME)
    assert world.mirror.asked == []
    assert not (world.folder / "downloads").exists()
    assert len(list(hidden.iterdir())) == 8  # two of VAE and whisper each, and they stay


def test_the_older_files_of_a_folder_do_as_well(world: World) -> None:
    path, wanted = world.folder.parent / "models", {part.name: part for part in world.parts}
    path.mkdir()
    for part in ("vae", "whisper"):
        origin = wanted[part].origins[1]
        (path / Path(origin.file).name).write_bytes(
            world.mirror.files[f"/{origin.repository}/resolve/{origin.revision}/{origin.file}"]
        )
    world.published = path
    world.fetch("vae", "whisper", local=True)
    assert world.loads("vae", "whisper")
    assert open_weights(world.folder).entry("whisper").source.file == "pytorch_model.bin"  # type: ignore[union-attr]


def test_a_folder_that_lacks_a_file_or_has_another_is_told(world: World) -> None:
    world.published = world.folder.parent / "mine"
    world.published.mkdir()
    with pytest.raises(WeightsError, match=r"holds no musetalkV15/unet\.pth") as caught:
        world.fetch("unet", local=True)
    assert caught.value.reason is Reason.WEIGHTS_MISSING
    (world.published / "unet.pth").write_bytes(bytes(world.parts[0].origins[0].bytes))
    with pytest.raises(WeightsError, match="has the right size, but SHA-256") as caught:
        world.fetch("unet", local=True)
    assert caught.value.reason is Reason.WEIGHTS_INVALID


def test_a_folder_of_too_many_files_is_not_read_for_hours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supply, "MAX_LOCAL_FILES", 3)
    with pytest.raises(WeightsError, match="name a smaller folder"):
        world.fetch("unet", local=True)


def test_two_at_once_fetch_everything_once(world: World) -> None:
    failures: list[BaseException] = []

    def one() -> None:
        try:
            world.fetch("unet", "detector")
        except BaseException as error:
            failures.append(error)

    world.mirror.faults.append(lambda handler, data: (threading.Event().wait(0.7), handler.serve(data))[1])
    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert world.loads("unet", "detector")
    assert len(world.mirror.asked) == 2
    assert [news for news in world.news if news.stage is Stage.WAITING]


def test_a_read_only_folder_does_when_everything_is_there(world: World) -> None:
    with small_disk(world.folder, "64m"):
        world.fetch("unet", "detector")
        remount(world.folder, "ro")
        world.fetch("unet", "detector")
        assert world.loads("unet", "detector")
        with pytest.raises(WeightsError, match="can't be written: Read-only file system"):
            world.fetch("parser")


def test_too_little_room_is_told_before_anything_is_fetched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 2 * world.parts[0].origins[0].bytes - 1
    monkeypatch.setattr(supply.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(WeightsError, match=r"GB free; musetalkV15/unet\.pth needs") as caught:
        world.fetch("unet")
    assert caught.value.reason is Reason.DISK_FULL
    assert world.mirror.asked == []


def test_without_torch_nothing_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(WeightsError, match="converting weights needs torch") as caught:
        world.fetch("unet")
    assert caught.value.reason is Reason.MISSING_DEPENDENCY
    assert world.mirror.asked == []


def test_a_folder_that_cannot_be_made_is_told(world: World) -> None:
    world.folder.write_text("a file")
    with pytest.raises(WeightsError, match="can't be written"):
        world.fetch("unet")


def test_weights_of_another_layout_do_not_count(world: World) -> None:
    world.fetch("detector")
    world.mirror.asked.clear()
    wanted = [part for part in world.parts if part.name == "detector"]
    bring = from_hub(world.folder, Hub(world.mirror.url))
    with pytest.raises(WeightsError, match="does not fit") as caught:
        fetch.fetch(world.folder, wanted, bring, world.news.append, MUSETALK)
    assert caught.value.reason is Reason.WEIGHTS_INVALID
    assert len(world.mirror.asked) == 1


def test_the_catalogue_pins_everything() -> None:
    origins = [origin for part in catalogue.PARTS for origin in part.origins]
    assert all(len(origin.sha256) == 64 and len(origin.revision) == 40 for origin in origins)
    assert (
        len({origin.sha256 for origin in origins})
        == len({origin.bytes for origin in origins})
        == len(origins)
    )
    s3fd = catalogue.BY_NAME["detector"].origins[0]
    assert s3fd.file.removesuffix(".pth").endswith(s3fd.sha256[:10]), "its name carries its hash"
