"""The same with a bucket behind it: a real S3 server as a pod."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from tests.cluster import eventually
from tests.cluster.node import NodeCluster
from tests.e2e.commands import CommandError
from tests.e2e.installation import NAMESPACE, Installation, condition
from tests.e2e.peers import manifests
from tests.e2e.peers.manifests import BUCKET, S3_KEYS, S3_PORT
from tests.e2e.peers.running import Peers, load_s3
from tests.e2e.videos import see

pytestmark = pytest.mark.e2e

PREFIX = "avatars"
ENDPOINT = f"http://s3.{manifests.NAMESPACE}.svc:{S3_PORT}"
ENVIRONMENT = {"AWS_ENDPOINT_URL": ENDPOINT, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}


@pytest.fixture(scope="module")
def bucket(
    node: NodeCluster, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """The chart with a bucket, and two gateways, which a volume would not allow."""
    shell = installation.shell
    load_s3(node, tmp_path_factory.mktemp("s3"))
    for namespace in (manifests.NAMESPACE, NAMESPACE):
        shell.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, "default")
    Peers(shell).start(manifests.s3(), "s3")
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket"}, "stringData": S3_KEYS}
    values = ["store.type=url", f"store.url=s3://{BUCKET}/{PREFIX}", "store.existingSecret=bucket"]
    for number, (name, value) in enumerate(ENVIRONMENT.items()):
        values += [f"store.env[{number}].name={name}", f"store.env[{number}].value={value}"]
    if installation.values is not None:
        installation.uninstall()
    shell.apply(yaml.safe_dump(keys), NAMESPACE)
    installation.become("--set-string", ",".join(values), "--set", "gateway.replicas=2,inference.replicas=1")
    return installation


@pytest.fixture(scope="module")
def place(bucket: Installation) -> str:
    return bucket.namespace("bucket")


def objects(bucket: Installation) -> set[str]:
    """Paths of all that is in the bucket, as the server itself keeps them."""
    pod = bucket.shell.get("pods", "-n", manifests.NAMESPACE, "-l", "app=s3")["items"][0]
    names = bucket.shell.kubectl(
        "exec", "-n", manifests.NAMESPACE, pod["metadata"]["name"], "--", "/toolbox", "list", "/data"
    )
    return set(names.decode().split())


def test_a_video_is_made_watched_and_deleted(bucket: Installation, place: str, tmp_path: Path) -> None:
    bucket.session(place, "hello", text="I am kept in a bucket, and fetched from there.")
    status = bucket.until(place, "hello", "True", "Succeeded")
    body = bucket.fetch(status["video"]["url"])
    assert hashlib.sha256(body).hexdigest() == status["video"]["sha256"]
    (tmp_path / "hello.mp4").write_bytes(body)
    assert see(tmp_path / "hello.mp4").frames == status["video"]["frames"]
    uid = bucket.shell.get("avs", "hello", "-n", place)["metadata"]["uid"]
    assert f"/data/{BUCKET}/{PREFIX}/{place}/{uid}/video.mp4" in objects(bucket)
    playlist = bucket.fetch(status["video"]["url"], "index.m3u8")
    assert playlist.startswith(b"#EXTM3U")
    bucket.shell.kubectl("delete", "avs", "hello", "-n", place, "--timeout=60s")
    assert not [name for name in objects(bucket) if uid in name]
    with pytest.raises(CommandError):
        bucket.fetch(status["video"]["url"])


def test_a_video_expires(bucket: Installation, place: str) -> None:
    bucket.session(place, "short", text="Not for long.", videoTTLSeconds=5)
    bucket.until(place, "short", "True", "Succeeded")
    gone = ("False", "VideoExpired")
    eventually(lambda: condition(bucket.status(place, "short"), "VideoAvailable") == gone, seconds=60)
    uid = bucket.shell.get("avs", "short", "-n", place)["metadata"]["uid"]
    assert not [name for name in objects(bucket) if uid in name]


def test_a_store_that_is_away_for_a_while_costs_nothing(bucket: Installation, place: str) -> None:
    """Writes are tried again."""
    bucket.session(place, "patient", text="I am drawn while my bucket is away. " * 4, timeoutSeconds=120)
    eventually(lambda: bucket.status(place, "patient").get("stage") == "render", seconds=60)
    [pod] = bucket.shell.get("pods", "-n", manifests.NAMESPACE, "-l", "app=s3")["items"]
    bucket.shell.kubectl("delete", "pod", "-n", manifests.NAMESPACE, pod["metadata"]["name"], "--wait=false")
    status = bucket.until(place, "patient", "True", "Succeeded")
    assert len(bucket.fetch(status["video"]["url"])) == status["video"]["bytes"]
