"""One file over HTTP from a real server that misbehaves."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest
from tests.support import mirror as faults
from tests.support.disks import remount, small_disk
from tests.support.mirror import Mirror, serving

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.weights.catalogue import Origin
from avatar_inference.musetalk.weights.download import TRIES, download
from avatar_inference.musetalk.weights.hub import Hub

DATA = random.Random(1).randbytes(3_000_000)
ORIGIN = Origin("owner/name", "c0ffee", "deep/file.bin", len(DATA), sha256(DATA).hexdigest())
PATH = "/owner/name/resolve/c0ffee/deep/file.bin"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving({PATH: DATA}) as running:
        yield running


class Fetching:
    """Downloads into a folder, noting waits and what was told."""

    def __init__(self, mirror: Mirror, folder: Path) -> None:
        self.waits: list[float] = []
        self.told: list[tuple[int, str]] = []
        self.path = folder / "file"
        self._hub = Hub(mirror.url, sleep=self.waits.append)

    def __call__(self, origin: Origin = ORIGIN) -> bytes:
        download(origin, self.path, self._hub, lambda done, note: self.told.append((done, note)))
        return self.path.read_bytes()

    def fails(self, reason: Reason, origin: Origin = ORIGIN) -> WeightsError:
        with pytest.raises(WeightsError) as caught:
            self(origin)
        assert caught.value.reason is reason, caught.value
        assert not self.path.exists()
        return caught.value

    @property
    def kept(self) -> int:
        part = self.path.with_name("file.part")
        return part.stat().st_size if part.exists() else 0


@pytest.fixture
def fetching(mirror: Mirror, tmp_path: Path) -> Fetching:
    return Fetching(mirror, tmp_path)


def test_a_file_comes_whole_and_nothing_else_stays(mirror: Mirror, fetching: Fetching) -> None:
    assert fetching() == DATA
    assert [asked.path for asked in mirror.asked] == [PATH]
    assert [path.name for path in fetching.path.parent.iterdir()] == ["file"]
    assert fetching.told[-1] == (len(DATA), "")


def test_after_a_cut_only_the_rest_is_asked_for(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.append(faults.cut(1_234_567))
    assert fetching() == DATA
    assert mirror.ranges == ["", "bytes=1234567-"]
    assert mirror.sent == len(DATA)


def test_after_a_cut_the_next_call_asks_only_for_the_rest(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.extend([faults.cut(1_000_000), *[faults.status(503)] * TRIES])
    fetching.fails(Reason.WEIGHTS_UNAVAILABLE)
    assert fetching.kept == 1_000_000
    assert fetching() == DATA
    assert mirror.ranges[-1] == "bytes=1000000-"
    assert mirror.sent == len(DATA)


def test_a_killed_process_is_gone_on_from(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.append(faults.slowly)
    program = (
        "import sys, pathlib\n"
        "from avatar_inference.musetalk.weights.catalogue import Origin\n"
        "from avatar_inference.musetalk.weights.download import download\n"
        "from avatar_inference.musetalk.weights.hub import Hub\n"
        f"download({ORIGIN!r}, pathlib.Path(sys.argv[1]), Hub(sys.argv[2]), lambda *_: None)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(fetching.path), mirror.url])
    until(lambda: fetching.kept >= len(DATA) // 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = fetching.kept
    assert len(DATA) // 2 <= kept < len(DATA)
    assert fetching() == DATA
    assert mirror.ranges == ["", f"bytes={kept}-"]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_without_ranges_sends_all_again(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.extend([faults.cut(1_000_000), faults.whole])
    assert fetching() == DATA
    assert mirror.ranges == ["", "bytes=1000000-"]


def test_another_version_on_the_server_is_fetched_from_its_beginning(
    mirror: Mirror, fetching: Fetching
) -> None:
    def changed(handler: faults._Handler, data: bytes) -> None:
        mirror.tag = '"v2"'
        handler.serve(data)

    mirror.faults.extend([faults.cut(1_000_000), changed])
    assert fetching() == DATA
    assert fetching.waits and mirror.asked[1].range == "bytes=1000000-"


def test_a_rest_of_another_version_is_not_added(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.extend([faults.cut(1_000_000), faults.of_another_version])
    assert fetching() == DATA
    assert mirror.ranges == ["", "bytes=1000000-", ""]


def test_a_server_that_is_another_each_time_and_always_hangs_up_is_given_up(
    mirror: Mirror, fetching: Fetching
) -> None:
    """Each throws away what the one before sent, so that more than a megabyte comes and is no progress."""

    def another(handler: faults._Handler, data: bytes) -> None:
        mirror.tag = f'"v{len(mirror.asked)}"'
        handler.serve(data, cut=2_000_000)

    mirror.faults.extend([another] * 5 * TRIES)
    fetching.fails(Reason.WEIGHTS_UNAVAILABLE)
    assert len(mirror.asked) <= 2 * TRIES


def test_damage_in_what_was_kept_is_found_and_mended(mirror: Mirror, fetching: Fetching) -> None:
    fetching.path.with_name("file.part").write_bytes(b"\0" * 1_000_000)
    assert fetching() == DATA
    assert mirror.ranges == ["bytes=1000000-", ""]
    assert any("damaged" in note for _, note in fetching.told)


def test_a_wrong_hash_is_refused_and_removed(mirror: Mirror, fetching: Fetching) -> None:
    wrong = bytes([DATA[0] ^ 1]) + DATA[1:]
    mirror.files[PATH] = wrong
    error = fetching.fails(Reason.WEIGHTS_INVALID)
    assert f"expected SHA-256 {ORIGIN.sha256}, found {sha256(wrong).hexdigest()}" in str(error)
    assert list(fetching.path.parent.iterdir()) == []
    assert len(mirror.asked) == 1


def test_an_endless_body_is_stopped_at_the_expected_size(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.append(faults.endless)
    error = fetching.fails(Reason.WEIGHTS_INVALID)
    assert "more than 3000000 bytes" in str(error)
    assert fetching.kept == 0
    assert mirror.sent < 20_000_000  # what the kernel's buffers take, and no more


@pytest.mark.parametrize("size", [1, len(DATA) - 1, len(DATA) + 1])
def test_a_file_of_another_size_is_refused_before_it_comes(
    mirror: Mirror, fetching: Fetching, size: int
) -> None:
    mirror.files[PATH] = bytes(size)
    error = fetching.fails(Reason.WEIGHTS_INVALID)
    assert f"has {size} bytes" in str(error) and "published file has 3000000" in str(error)


def test_a_busy_server_is_left_alone_as_long_as_it_asks(mirror: Mirror, fetching: Fetching) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    mirror.faults.extend(
        [faults.status(503), faults.status(429, retry_after="7"), faults.status(503, retry_after=later)]
    )
    assert fetching() == DATA
    assert 1 <= fetching.waits[0] <= 2
    assert fetching.waits[1] == 7
    assert 35 < fetching.waits[2] <= 40
    assert "answers 503" in fetching.told[0][1]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.append(faults.status(429, retry_after="3600"))
    error = fetching.fails(Reason.WEIGHTS_UNAVAILABLE)
    assert error.retry_after == 3600
    assert fetching.waits == []


def test_a_server_that_never_gets_better_is_given_up(mirror: Mirror, fetching: Fetching) -> None:
    mirror.faults.extend([faults.status(500)] * 100)
    error = fetching.fails(Reason.WEIGHTS_UNAVAILABLE)
    assert f"answers 500 Internal Server Error ({TRIES} tries)" in str(error)
    assert len(mirror.asked) == TRIES
    assert fetching.waits == sorted(fetching.waits) or len(fetching.waits) == TRIES - 1


def test_nobody_listening_is_given_up(fetching: Fetching) -> None:
    fetching._hub = replace(fetching._hub, endpoint="http://127.0.0.1:9")
    assert "127.0.0.1:9" in str(fetching.fails(Reason.WEIGHTS_UNAVAILABLE))


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "/resolve/"), (400, "400")]
)
def test_what_another_try_would_not_mend_fails_at_once(
    mirror: Mirror, fetching: Fetching, code: int, hint: str
) -> None:
    mirror.faults.append(faults.status(code))
    assert hint in str(fetching.fails(Reason.WEIGHTS_UNAVAILABLE))
    assert len(mirror.asked) == 1


def test_a_link_in_place_of_the_kept_part_is_refused(fetching: Fetching, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "file.part").symlink_to(victim)
    fetching.fails(Reason.WEIGHTS_INVALID)
    assert victim.read_bytes() == b"precious"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "tiny", "1m") as folder:
        yield folder


def test_a_full_disk_is_told_with_the_room_that_is_needed(mirror: Mirror, tiny_disk: Path) -> None:
    fetching = Fetching(mirror, tiny_disk)
    error = fetching.fails(Reason.DISK_FULL)
    assert "GB more are needed" in str(error)
    assert 0 < fetching.kept < len(DATA)
    remount(tiny_disk, "size=8m")
    kept = fetching.kept
    assert fetching() == DATA
    assert mirror.ranges[-1] == f"bytes={kept}-"


def answers(hub: Hub, *responses: httpx2.Response) -> list[httpx2.Request]:
    """Asks a hub whose answers are given; returns the requests."""
    asked: list[httpx2.Request] = []
    waiting = list(responses)

    def respond(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return waiting.pop(0)

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as client, hub.answer(client, ORIGIN, {}):
        pass
    return asked


def moved(target: str) -> httpx2.Response:
    return httpx2.Response(302, headers={"location": target})


def test_the_token_goes_to_the_endpoint_alone() -> None:
    hub = Hub("https://mirror.example/hf", token="hf_secret")
    asked = answers(
        hub, moved("/other/path"), moved("https://cdn.example/blob?signature=x"), httpx2.Response(200)
    )
    assert [str(request.url) for request in asked] == [
        "https://mirror.example/hf/owner/name/resolve/c0ffee/deep/file.bin",
        "https://mirror.example/other/path",
        "https://cdn.example/blob?signature=x",
    ]
    assert [request.headers.get("authorization") for request in asked] == [
        "Bearer hf_secret",
        "Bearer hf_secret",
        None,
    ]
    assert "hf_secret" not in repr(hub)


def test_the_token_never_goes_over_plain_http_to_another_machine() -> None:
    [request] = answers(Hub("http://mirror.example", token="hf_secret"), httpx2.Response(200))
    assert "authorization" not in request.headers
    [request] = answers(Hub("http://127.0.0.1:1", token="hf_secret"), httpx2.Response(200))
    assert request.headers["authorization"] == "Bearer hf_secret"


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("https://mirror.example", "http://mirror.example/x"),
        ("https://mirror.example", "http://127.0.0.1/x"),
        ("http://mirror.example", "http://other.example/x"),
        ("https://mirror.example", "file:///etc/passwd"),
        ("https://mirror.example", "https://host:port"),
        ("http://127.0.0.1:1", "ftp://127.0.0.1/x"),
    ],
)
def test_redirects_to_anything_but_https_are_not_followed(endpoint: str, target: str) -> None:
    with pytest.raises(WeightsError, match="not https") as caught:
        answers(Hub(endpoint), moved(target))
    assert caught.value.reason is Reason.WEIGHTS_UNAVAILABLE


def test_redirects_in_a_circle_end() -> None:
    with pytest.raises(WeightsError, match="more than 5 times"):
        answers(Hub("https://mirror.example"), *[moved("https://mirror.example/x")] * 6)


@pytest.mark.parametrize(
    "endpoint",
    ["", "huggingface.co", "ftp://x", "https://", "https://user:pass@host", "https://host:port", "//host"],
)
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(WeightsError, match="endpoint: must look like") as caught:
        Hub(endpoint).base()
    assert caught.value.reason is Reason.INVALID_ARGUMENT
    assert "pass" not in str(caught.value).replace("password", "")


def test_a_token_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(WeightsError, match="HF_TOKEN") as caught:
        Hub(token="hf_secret\nX-Other: 1")
    assert "secret" not in str(caught.value)
