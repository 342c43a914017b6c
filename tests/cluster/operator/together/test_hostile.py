"""What strangers write reaches a pod as one annotation and nothing else, and never stands in others' way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cluster import RUNNING, Kubelet, RestError, ended, eventually
from tests.cluster.operators import SESSIONS, Replica, World

pytestmark = pytest.mark.cluster
RESOLVED = "avatars.dev/resolved-session"
MARK = "a-strangers-words"
HARM = "$(OPENAI_API_KEY) {{ .Values.x }} ${HOME} `id` $(id) %s %(x)s \\ \" ' ; & | \u202e\u2066 <b>"
LINE = f"{MARK} {HARM}"
TEXT = f"{LINE}\n---\nkind: Pod\n\t{LINE}\r\n"
PROVIDER = {
    "llm": {
        "baseURL": f"https://{MARK}.example/$(OPENAI_API_KEY)/`id`/{{{{x}}}}",
        "model": LINE,
        "apiKeySecretRef": {"name": "keys", "key": "LD_PRELOAD"},
    },
    "speech": {"type": "openai", "model": LINE, "voice": LINE},
}


def places_of(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in an object the stranger's words are, keys included."""
    if isinstance(node, dict):
        for key, value in node.items():
            if MARK in key:
                yield (*path, key)
            yield from places_of(value, (*path, key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from places_of(value, (*path, str(position)))
    elif isinstance(node, str) and MARK in node:
        yield path


def make(world: World, kind: str, name: str, spec: Any, **metadata: Any) -> Any:
    path = f"{SESSIONS.format(world.namespace).rpartition('/')[0]}/{kind.lower()}s"
    document = {"apiVersion": "avatars.dev/v1alpha1", "kind": kind, "spec": spec}
    return world.cluster.rest.post(path, {**document, "metadata": {"name": name, **metadata}})


def test_words_are_data_wherever_they_go(world: World, operator: Replica, kubelet: Kubelet) -> None:
    make(world, "AvatarProvider", "hostile", PROVIDER)
    spec = {
        "prompt": TEXT,
        "providerRef": {"name": "hostile"},
        "llm": {"model": LINE, "systemPrompt": TEXT},
        "speech": {"voice": LINE},
    }
    notes = {"labels": {MARK: MARK}, "annotations": {MARK: TEXT}}
    stored = make(world, "AvatarSession", "hostile", spec, **notes)["spec"]
    pod_name = kubelet.pod("avatars.dev/session=hostile", seconds=20)
    pod = world.cluster.rest.get(f"/api/v1/namespaces/{world.namespace}/pods/{pod_name}")
    [job] = world.jobs_of("hostile")
    assert list(places_of(job)) == [("spec", "template", "metadata", "annotations", RESOLVED)]
    assert list(places_of(pod)) == [("metadata", "annotations", RESOLVED)]
    resolved = json.loads(pod["metadata"]["annotations"][RESOLVED])
    assert resolved["spec"] == stored
    assert resolved["spec"]["prompt"] == TEXT
    assert resolved["provider"]["speech"] == PROVIDER["speech"]
    assert resolved["provider"]["llm"]["baseURL"] == PROVIDER["llm"]["baseURL"]
    names = {variable["name"] for variable in pod["spec"]["containers"][0]["env"]}
    assert all(name.startswith("AVATAR_") for name in names), names


def test_the_largest_session_fits_into_its_pod(world: World, operator: Replica, kubelet: Kubelet) -> None:
    make(
        world, "AvatarProvider", "large", {"llm": {"model": "😀" * 253, "baseURL": f"http://e/{'a' * 2000}"}}
    )
    reply = '"\\\n' * 5_000  # as JSON two of them almost fill what a history may take
    for number, name in enumerate(("first-turn", "second-turn")):
        earlier = {"continueFrom": {"name": "first-turn"}} if number else {}
        world.apply(name, prompt="Go on.", providerRef={"name": "large"}, **earlier)
        pod = kubelet.pod(f"avatars.dev/session={name}", seconds=20)
        kubelet.play(pod, RUNNING)
        assert operator.post("result", world.token(pod), world.receipt(name, reply=reply))[0] == 202
        world.until("True", "Succeeded", name)
    name = "n" * 52
    spec = {
        "prompt": "😀" * 2048,
        "providerRef": {"name": "large"},
        "llm": {"systemPrompt": "😀" * 8192},
        "continueFrom": {"name": "second-turn"},
    }
    make(world, "AvatarSession", name, spec)
    found = kubelet.pod(f"avatars.dev/session={name}", seconds=20)
    pod = world.cluster.rest.get(f"/api/v1/namespaces/{world.namespace}/pods/{found}")
    text = pod["metadata"]["annotations"][RESOLVED]
    assert len(text.encode()) < 256 * 1024
    document = json.loads(text)
    assert document["spec"]["prompt"] == "😀" * 2048
    turns = [{"role": "user", "text": "Go on."}, {"role": "assistant", "text": reply}]
    assert document["history"] == turns * 2


def test_a_pods_last_words_are_told_whatever_they_are(
    world: World, operator: Replica, kubelet: Kubelet
) -> None:
    """Half a character, control characters and another script: told once, and not written again and again."""
    world.apply("odd")
    message = '{"reason": "LLMUnavailable", "message": "\\ud800\\u001b[31m\\u202e%s"}' % ("ю" * 1000)
    kubelet.play(kubelet.pod("avatars.dev/session=odd", seconds=20), RUNNING, ended(41, message))
    world.until("Unknown", "LLMUnavailable", "odd")
    assert eventually(lambda: ("Warning", "LLMUnavailable") in world.events("odd"))
    kubelet.play(kubelet.pod("avatars.dev/session=odd", seconds=30), RUNNING)
    world.until("Unknown", "Running", "odd")
    asked = world.cluster.audit_log(world.user)
    written = [r for r in asked if (r.resource, r.name) == ("avatarsessions/status", "odd")]
    assert len(written) <= 6


# stored past admission

DEEP: Any = "bottom"
for _ in range(200):
    DEEP = {"deeper": DEEP}
SPECS: list[Any] = [
    *[None, "text", 7, True, [], [[]], {}, {"text": None}, {"text": 7}, {"text": ""}, {"text": {"a": "b"}}],
    *[{"prompt": "a", "text": "b"}, {"text": "x" * 900_000}, {"text": "\x00\x1b"}, DEEP, {"text": DEEP}],
    *[{"text": "a", "video": video} for video in ("best", {"fps": "1/0"}, {"fps": DEEP}, {"height": 2**62})],
    *[
        {"text": "a", "llm": llm}
        for llm in (7, [], {"maxTokens": -1}, {"model": "a\nb"}, {"model": MARK * 99})
    ],
    *[
        {"text": "a", "avatarRef": ref}
        for ref in ("ava", {}, {"name": "../../etc"}, {"name": 7}, {"name": ""})
    ],
    *[{"text": "a", "continueFrom": ref} for ref in ([], {"name": "$(id)"}, {"name": None}, {"name": "a/b"})],
    *[{"text": "a", "retry": retry} for retry in (-1, 2**62, "1", 1.5)],
    *[{"text": "a", "suspend": "yes"}, {"text": "a", "cancel": 1}, {"text": "a", "timeoutSeconds": 0}],
    *[{"text": "a", "startTimeoutSeconds": -(2**62)}, {"text": "a", "videoTTLSeconds": 2**62}],
    *[{"text": 7, "ttlSecondsAfterFinished": ttl} for ttl in (2**62, "1", True, [], -1, -(2**62))],
]
STATUSES: list[Any] = [
    "done",
    [],
    {"conditions": "x"},
    {"conditions": [{"type": "Succeeded"}]},
    {"attempt": -1},
]


@contextmanager
def loosened(world: World) -> Iterator[None]:
    """While it lasts, the API server takes sessions of any form."""
    rest = world.cluster.rest
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/avatarsessions.avatars.dev"
    versions = rest.get(path)["spec"]["versions"]
    free = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    rest.patch(path, {"spec": {"versions": [{**versions[0], "schema": free, "selectableFields": None}]}})
    probe = {"apiVersion": "avatars.dev/v1alpha1", "kind": "AvatarSession", "metadata": {"name": "probe"}}

    def free_now() -> bool:
        try:
            rest.post(SESSIONS.format(world.namespace), {**probe, "spec": 7}, dryRun="All")
        except RestError:
            return False
        return True

    try:
        eventually(free_now)
        yield
    finally:
        rest.patch(path, {"spec": {"versions": versions}})  # as it was
        eventually(lambda: not free_now())


def test_what_can_not_be_read_stands_in_nobodys_way(
    world: World, operator: Replica, kubelet: Kubelet
) -> None:
    hostile = [f"bad-{number}" for number in range(len(SPECS))]
    with loosened(world):
        for name, spec in zip(hostile, SPECS, strict=True):
            make(world, "AvatarSession", name, spec)
        for name, status in zip(hostile, STATUSES, strict=False):
            path = f"{SESSIONS.format(world.namespace)}/{name}"
            world.cluster.rest.patch(f"{path}/status", {"status": status})
        make(world, "AvatarSession", f"name.of.another.kind{'x' * 60}", {"text": "a"})
        ordinary(world, operator, kubelet, "while-loosened")
    ordinary(world, operator, kubelet, "afterwards")

    def told() -> bool:
        return sum(world.condition(name) == ("False", "InvalidSpec") for name in hostile) >= len(SPECS) - 8

    assert eventually(told, seconds=30)
    assert {job["metadata"]["labels"]["avatars.dev/session"] for job in world.jobs()}.isdisjoint(hostile)
    for name in hostile:
        if world.session(name):
            world.delete(name)
    assert eventually(lambda: not set(hostile) & set(world.listed()))


def ordinary(world: World, operator: Replica, kubelet: Kubelet, name: str) -> None:
    """The whole way of a session of good will."""
    world.apply(name)
    pod = kubelet.pod(f"avatars.dev/session={name}", seconds=20)
    kubelet.play(pod, RUNNING)
    assert operator.post("result", world.token(pod), world.receipt(name))[0] == 202
    world.until("True", "Succeeded", name)
