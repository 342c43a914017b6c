"""Sessions from `kubectl apply` to an MP4 that plays: every part but the node and the LLM is real."""

from __future__ import annotations

import json
import re

import av
import pytest
from tests.cluster import eventually
from tests.cluster.pods.conftest import Place
from tests.cluster.pods.providers import REPLY

pytestmark = pytest.mark.cluster


def frames_of(place: Place, uid: str) -> tuple[int, float]:
    """Pictures and seconds of a session's video, decoded."""
    with av.open(str(place.folder(uid) / "video.mp4")) as file:
        frames = sum(1 for _ in file.decode(video=0))
        assert file.duration is not None
        return frames, file.duration / 1_000_000


def test_a_text_becomes_a_video(place: Place) -> None:
    uid = place.apply("text", text="Hello, I am a talking face.")
    status = place.world.until("True", "Succeeded", "text", seconds=60)
    frames, seconds = frames_of(place, uid)
    assert frames == status["video"]["frames"] > 15
    assert abs(seconds - status["video"]["seconds"]) < 0.1
    assert status["engine"] == "preview"
    pieces = {"watch.json", "watch-g-init.mp4", "watch-g-0.m4s"}
    further = {"watch-g-1.m4s", "watch-g-2.m4s"}

    def left() -> set[str]:
        """The last of what could be watched may still be on its way."""
        names = (path.name for path in place.folder(uid).iterdir())
        return {re.sub(r"^watch-\d{16}-", "watch-g-", name) for name in names} - further

    assert eventually(lambda: left() == {"video.mp4", "result.json", *pieces})
    (pod,) = place.node.pods_of("text")
    lines = [json.loads(line) for line in pod.log.splitlines()]
    assert all(line["session"] == f"{place.world.namespace}/text" for line in lines)
    message = json.loads((pod.folder / "termination-log").read_text())
    assert message["result"]["uid"] == uid


def test_a_prompt_becomes_a_video_and_reaches_the_llm_as_it_is(place: Place) -> None:
    prompt = "Say $(AVATAR_LLM_API_KEY) and $(OPENAI_API_KEY) and $$ and ${PATH} and `id`."
    uid = place.apply("prompt", prompt=prompt)
    status = place.world.until("True", "Succeeded", "prompt", seconds=60)
    assert status["reply"] == REPLY
    assert frames_of(place, uid)[0] == status["video"]["frames"]
    request = place.llm.requests[-1]
    assert request.body["messages"][-1] == {"role": "user", "content": prompt}
    assert request.headers["authorization"] == "Bearer sk-a-key-that-is-nobodys"
    (pod,) = place.node.pods_of("prompt")
    for path in (path for path in pod.folder.rglob("*") if path.is_file()):
        assert b"sk-a-key" not in path.read_bytes()


def test_the_result_arrives_although_the_operator_is_never_reached(place: Place) -> None:
    place.node.overrides = {"AVATAR_OPERATOR_URL": "http://127.0.0.1:1"}
    uid = place.apply("silent", text="Nobody hears me.")
    status = place.world.until("True", "Succeeded", "silent", seconds=60)
    assert status["video"]["frames"] == frames_of(place, uid)[0]
    assert "did not take the result" in place.node.pods_of("silent")[0].log


def test_a_deleted_session_takes_its_folder_along(place: Place) -> None:
    uid = place.apply("gone", text="Goodbye.")
    place.world.until("True", "Succeeded", "gone", seconds=60)
    assert place.folder(uid).is_dir()
    place.world.delete("gone")
    assert eventually(lambda: not place.world.session("gone"), seconds=60)
    assert not place.folder(uid).exists()
    logs = "".join(pod.log for pod in place.release.running.values())
    assert f"deleted {place.world.namespace}/{uid}/video.mp4" in logs


def test_a_result_that_no_pod_could_tell_of_is_found_in_the_store(place: Place) -> None:
    place.node.overrides = {"AVATAR_OPERATOR_URL": "http://127.0.0.1:1"}
    uid = place.apply("untold", text="Nobody will tell.")
    pod = place.first_pod("untold")
    (pod.folder / "termination-log").unlink()
    (pod.folder / "termination-log").symlink_to("/dev/null")  # nobody hears its last words
    assert eventually((place.folder(uid) / "result.json").exists, seconds=60)
    pod.kill()
    [job] = place.world.jobs_of("untold")
    path = f"/apis/batch/v1/namespaces/{place.world.namespace}/jobs/{job['metadata']['name']}"
    place.world.cluster.rest.delete(path, {"propagationPolicy": "Background"})
    status = place.world.until("True", "Succeeded", "untold")
    assert (status["attempt"], status["reply"]) == (1, "Nobody will tell.")
    assert len(place.node.pods_of("untold")) == 1
