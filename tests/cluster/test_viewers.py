"""Videos of a real gateway process: by links, and by the caller's rights as a real API server tells them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.cluster import Cluster
from tests.cluster.gateways import GatewayProcess, gateway_process
from tests.cluster.operators import CRDS
from tests.cluster.patience import eventually

from avatar_core.links import SignedLinks

pytestmark = pytest.mark.cluster
AUDIENCE = "gateway.avatars.dev"
BODY = b"a video of many bytes" * 1000
KEYS = {"old": b"o" * 32, "new": b"n" * 48}


@dataclass(frozen=True)
class Place:
    """A gateway, and a session `hello` in `team` that has a video; `seer` may get it, `other` may not."""

    cluster: Cluster
    gateway: GatewayProcess
    uid: str

    def token(self, account: str, audience: str = AUDIENCE) -> str:
        return self.cluster.token("team", account, audience=audience)

    def link(self, kid: str, expires_in: int = 600) -> str:
        """The path of a link."""
        return SignedLinks("", kid, KEYS[kid]).url("team", self.uid, int(time.time()) + expires_in)


@pytest.fixture(scope="module")
def place(cluster_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("viewers")
    for name, key in KEYS.items():
        (folder / name).write_bytes(key)
    links = {"keys": [{"id": name, "file": str(folder / name)} for name in KEYS]}
    with Cluster.start(manifests=[CRDS]) as cluster:
        rest = cluster.rest
        for namespace in ("team", "elsewhere"):
            rest.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for account in ("seer", "other"):
            rest.post("/api/v1/namespaces/team/serviceaccounts", {"metadata": {"name": account}})
        _let(cluster, "seer", "hello")
        session = {"apiVersion": "avatars.dev/v1alpha1", "kind": "AvatarSession", "spec": {"text": "Hello."}}
        path = "/apis/avatars.dev/v1alpha1/namespaces/team/avatarsessions"
        made = [rest.post(path, session | {"metadata": {"name": name}}) for name in ("hello", "secret")]
        uid = str(made[0]["metadata"]["uid"])
        with gateway_process(cluster, folder, ["team"], links=links) as gateway:
            for each in made:
                video = gateway.store / "team" / each["metadata"]["uid"] / "video.mp4"
                video.parent.mkdir(parents=True)
                video.write_bytes(BODY)
            yield Place(cluster, gateway, uid)


def _let(cluster: Cluster, account: str, session: str) -> None:
    """Allows an account to get one session."""
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/team"
    rule = {
        "apiGroups": ["avatars.dev"],
        "resources": ["avatarsessions"],
        "resourceNames": [session],
        "verbs": ["get"],
    }
    cluster.rest.post(f"{rbac}/roles", {"metadata": {"name": account}, "rules": [rule]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "team"}
    body = {"metadata": {"name": account}, "roleRef": role, "subjects": [subject]}
    cluster.rest.post(f"{rbac}/rolebindings", body)


@pytest.mark.parametrize("kid", list(KEYS))
def test_a_link_opens_the_video(place: Place, kid: str) -> None:
    assert place.gateway.watch(place.link(kid) + "video.mp4") == (200, BODY)
    status, body = place.gateway.watch(place.link(kid))
    assert (status, b"<video" in body) == (200, True)


def test_an_expired_link_and_a_forged_one(place: Place) -> None:
    assert place.gateway.watch(place.link("new", -1) + "video.mp4")[0] == 410
    forged = place.link("new").replace("/v/new.", "/v/old.")
    assert place.gateway.watch(forged + "video.mp4")[0] == 403


@pytest.mark.parametrize("audience", [AUDIENCE, ""])
def test_who_may_get_a_session_may_see_its_video(place: Place, audience: str) -> None:
    token = place.token("seer", audience)
    assert place.gateway.watch("/v1/sessions/team/hello/video.mp4", token) == (200, BODY)
    assert place.gateway.watch("/v1/sessions/team/hello/", token)[0] == 200
    assert place.gateway.watch("/v1/sessions/team/hello/result.json", token)[0] == 404


def test_who_may_not_learns_not_even_whether_it_is_there(place: Place) -> None:
    for account, session in (("seer", "secret"), ("seer", "nothing"), ("other", "hello"), ("other", "none")):
        path = f"/v1/sessions/team/{session}/video.mp4"
        status, body = place.gateway.watch(path, place.token(account))
        assert (status, session.encode() in body) == (403, True)
    token = place.token("seer")
    assert place.gateway.watch("/v1/sessions/elsewhere/hello/video.mp4", token)[0] == 403


def test_tokens_that_are_nobodys(place: Place) -> None:
    path = "/v1/sessions/team/hello/video.mp4"
    good = place.token("seer")
    wrong = place.token("seer", "inference.avatars.dev")
    for token in ("", "x", "a.b.c", good[:-4] + "AAAA", wrong, "a" * 20_000):
        assert place.gateway.watch(path, token)[0] in {400, 401}, token[:20]


@pytest.mark.parametrize(
    "path",
    [
        "team/hello",
        "team/../hello/video.mp4",
        "team/hello/%2e%2e/x",
        "team//video.mp4",
        "team/he..llo/video.mp4",
    ],
)
def test_hostile_paths(place: Place, path: str) -> None:
    assert place.gateway.watch(f"/v1/sessions/{path}", place.token("seer"))[0] in {401, 403, 404}


def test_neither_links_nor_tokens_are_in_the_log(place: Place) -> None:
    token = place.token("seer")
    place.gateway.watch("/v1/sessions/team/hello/nonsense", token)
    link = place.link("new")
    place.gateway.watch(link + "nonsense")
    log = place.gateway.log.read_text()
    assert f"team/{place.uid}" in log
    assert token not in log
    assert link.split("/")[2][-43:] not in log


def test_the_gateway_asks_for_nothing_it_may_not(place: Place) -> None:
    place.gateway.watch("/v1/sessions/team/hello/video.mp4", place.token("seer"))
    (user,) = {r.user for r in place.cluster.audit_log() if r.user.startswith("gateway-")}
    asked = place.cluster.audit_log(user)
    assert {r.code for r in asked} <= {200, 201, 404}
    assert {(r.verb, r.resource) for r in asked} == {
        ("create", "tokenreviews"),
        ("create", "subjectaccessreviews"),
        ("get", "avatarsessions"),
    }


def test_metrics_tell_doors_apart(place: Place) -> None:
    place.gateway.watch(place.link("new") + "video.mp4")
    place.gateway.watch("/v1/sessions/team/hello/video.mp4", place.token("seer"))
    told = place.gateway.probe("/metrics")[1].decode()
    for door in ("link", "session"):
        assert f'avatar_gateway_requests_total{{code="200",door="{door}",method="GET"}}' in told


def test_a_changed_key_is_taken_up_without_a_restart(place: Place) -> None:
    file, new = place.gateway.store.parent / "old", b"c" * 32
    link = SignedLinks("", "old", new).url("team", place.uid, int(time.time()) + 600) + "video.mp4"
    assert place.gateway.watch(link)[0] == 403
    for key, code in ((b"short", 403), (new, 200), (KEYS["old"], 403)):
        (file.parent / "other").write_bytes(key)
        (file.parent / "other").replace(file)
        result = "refused" if key == b"short" else "taken"
        looks = re.compile(rf'link_key_looks_total{{key="old",result="{result}"}} [1-9]')
        eventually(lambda found=looks: found.search(place.gateway.probe("/metrics")[1].decode()))
        eventually(lambda wanted=code: place.gateway.watch(link)[0] == wanted)
    assert place.gateway.watch(place.link("old") + "video.mp4")[0] == 200
    assert b"the key before it stays" in place.gateway.log.read_bytes()
