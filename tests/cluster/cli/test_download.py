"""`avatar download`: whole and right, or not at all; and asked for on the way the link leads."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from tests.cluster.cli.conftest import Place, condition, failed, made, running
from tests.support.stand_in_gateway import StandInGateway

pytestmark = pytest.mark.cluster
SERVICE = f"/v/1.1999999999.{'A' * 43}/team/11111111-2222-3333-4444-555555555555/"


def status_of(gateway: StandInGateway, **more: object) -> dict[str, object]:
    return made(gateway.link, len(gateway.video), gateway.sha256, **more)


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))


def test_it_waits_until_the_video_is_there(place: Place, gateway: StandInGateway) -> None:
    place.apply(status=running("render", 33, 12, 36, video={"url": gateway.link}))
    downloading = place.start("download", "hello")
    downloading.until("12/36 frames")
    place.write(status_of(gateway))
    assert downloading.end() == 0
    file = place.folder / "hello.mp4"
    assert file.read_bytes() == gateway.video
    assert parts(place.folder) == []
    assert "fetch    100 %  1.0/1.0 MB" in downloading.said
    assert "".join(downloading.out).splitlines()[0] == "hello.mp4"
    [(method, name, headers)] = gateway.asked
    assert (method, name) == ("GET", "video.mp4")
    assert "authorization" not in headers


def test_a_file_that_is_there_is_replaced_only_when_told(place: Place, gateway: StandInGateway) -> None:
    place.apply(status=status_of(gateway))
    file = place.folder / "out" / "x.mp4"
    file.parent.mkdir()
    file.write_text("mine")
    code, _, err = place.run("download", "hello", "-o", "out/x.mp4")
    assert (code, file.read_text(), gateway.asked) == (26, "mine", [])
    assert "--force replaces it" in err
    code, out, _ = place.run("download", "hello", "-o", "out/x.mp4", "--force", "--json")
    assert code == 0
    assert out.splitlines()[-1].startswith('{"event": "downloaded", "name": "hello", "file": "out/x.mp4"')
    assert file.read_bytes() == gateway.video


def test_answers_that_break_off_are_gone_on_with(place: Place, gateway: StandInGateway) -> None:
    gateway.cut_after = 300_000
    place.apply(status=status_of(gateway))
    assert place.run("download", "hello")[0] == 0
    assert (place.folder / "hello.mp4").read_bytes() == gateway.video
    assert gateway.ranges[0] == ""
    assert len(gateway.ranges) == 4
    assert all(asked.startswith("bytes=") and asked != "bytes=0-" for asked in gateway.ranges[1:])


def test_a_later_call_goes_on_where_ctrl_c_was(place: Place, gateway: StandInGateway) -> None:
    gateway.hung_after = 300_000
    place.apply(status=status_of(gateway))
    downloading = place.start("download", "hello")
    downloading.until("0.3/1.0 MB")
    assert downloading.end(signal.SIGINT) == 130
    assert "the same command goes on with it" in downloading.said
    assert not (place.folder / "hello.mp4").exists()
    [part] = parts(place.folder)
    had = part.stat().st_size
    assert had >= 200_000
    gateway.hung_after, before = None, len(gateway.asked)
    assert place.run("download", "hello")[0] == 0
    assert gateway.ranges[before] == f"bytes={had}-"
    assert (place.folder / "hello.mp4").read_bytes() == gateway.video


def test_a_gateway_without_ranges_sends_all_again(place: Place, gateway: StandInGateway) -> None:
    place.apply(status=status_of(gateway))
    part = place.folder / f".hello.mp4.{gateway.sha256[:16]}.part"
    part.write_bytes(b"wrong beginning")
    gateway.ignores_ranges = True
    assert place.run("download", "hello")[0] == 0
    assert (place.folder / "hello.mp4").read_bytes() == gateway.video


def test_what_is_not_the_video_is_not_kept(place: Place, gateway: StandInGateway) -> None:
    place.apply(status=status_of(gateway))
    gateway.video = bytes(len(gateway.video))
    code, _, err = place.run("download", "hello")
    assert code == 47
    assert "its hash is another one" in err
    assert list(place.folder.glob("*.mp4")) == parts(place.folder) == []


def test_links_of_others_are_not_followed(place: Place, gateway: StandInGateway) -> None:
    mine = place.folder / "mine"
    mine.write_text("mine")
    place.apply(status=status_of(gateway))
    (place.folder / f".hello.mp4.{gateway.sha256[:16]}.part").symlink_to(mine)
    assert place.run("download", "hello")[0] == 21
    assert mine.read_text() == "mine"


def test_there_is_no_video(place: Place, gateway: StandInGateway) -> None:
    place.apply("failed", failed("LLMUnauthorized", "401"))
    assert place.run("download", "failed")[0] == 14
    gone = status_of(gateway)
    gone["conditions"] = [
        condition("Succeeded", "True", "Succeeded"),
        condition("VideoAvailable", "False", "VideoExpired", "deleted 3600 s after it was made"),
    ]
    place.apply("expired", gone)
    code, _, err = place.run("download", "expired")
    assert code == 39
    assert "the video is gone: deleted 3600 s after it was made" in err
    place.apply("refused", status_of(gateway))
    gateway.refuses = 403
    code, _, err = place.run("download", "refused")
    assert code == 26
    assert "the gateway says 403: StoreDenied: the link has expired" in err


def test_links_into_the_cluster_go_through_its_api_server_as_the_person(place: Place) -> None:
    """As far as the request that leaves: this API server has no node, and nobody finds endpoints."""
    base = f"http://avatar-operator-gateway.{place.namespace}.svc:8082"
    place.apply(status=made(f"{base}{SERVICE}"))
    service = {"metadata": {"name": "avatar-operator-gateway"}, "spec": {"ports": [{"port": 8082}]}}
    path = f"/api/v1/namespaces/{place.namespace}"
    place.cluster.rest.post(f"{path}/services", {"apiVersion": "v1", "kind": "Service", **service})
    bind(place, "viewer", [("avatars.dev", "avatarsessions", ["get"], [])])
    viewer = place.config(place.cluster.kubeconfig("viewer"))
    code, _, err = place.run("download", "hello", config=viewer)
    assert code == 25
    assert "the right to get services/proxy of 'http:avatar-operator-gateway:8082'" in err
    names = ["http:avatar-operator-gateway:8082"]
    bind(place, "viewer", [("", "services/proxy", ["get"], names)], "proxy")
    downloading = place.start("download", "hello", config=viewer)
    downloading.until("fetch")
    assert downloading.end() == 47
    assert "can't reach the gateway http:avatar-operator-gateway:8082" in downloading.said
    asked = [r for r in place.cluster.audit_log("viewer") if r.resource == "services/proxy"]
    assert {(r.verb, r.namespace, r.name) for r in asked} == {("get", place.namespace, names[0])}
    assert [r.code for r in asked] == [403, *[404] * 5]


def bind(
    place: Place, user: str, rules: list[tuple[str, str, list[str], list[str]]], name: str = "see"
) -> None:
    """Gives a user rights in the namespace: group, resource, verbs, names."""
    api, rbac = (
        "rbac.authorization.k8s.io",
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{place.namespace}",
    )
    kind = {"apiVersion": f"{api}/v1", "metadata": {"name": name}}
    listed = [
        {
            "apiGroups": [group],
            "resources": [resource],
            "verbs": verbs,
            **({"resourceNames": names} if names else {}),
        }
        for group, resource, verbs, names in rules
    ]
    place.cluster.rest.post(f"{rbac}/roles", {**kind, "kind": "Role", "rules": listed})
    subject = {"apiGroup": api, "kind": "User", "name": user}
    reference = {"apiGroup": api, "kind": "Role", "name": name}
    bound = {**kind, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    place.cluster.rest.post(f"{rbac}/rolebindings", bound)
    time.sleep(0.3)  # the authorizer hears of it by a watch of its own


@pytest.mark.parametrize("url", ["ftp://videos.example/v/", "http://me:pw@videos.example/v/1.2.x/a/b/", "x"])
def test_what_is_no_link_is_not_asked(place: Place, url: str) -> None:
    place.apply(status=made(url))
    code, _, err = place.run("download", "hello")
    assert code == 26
    assert "is no link to a video" in err
