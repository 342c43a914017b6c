"""Who may do what, on a played API server; tests/cluster/pods asks a real one."""

from __future__ import annotations

import asyncio

import pytest
from tests.gateway.conftest import BAD, FOLDER, GOOD, OTHER, UID, Gateway
from tests.gateway.test_objects import ask

from avatar_core.errors import Reason, StoreError

METHODS = ("GET", "HEAD", "PUT", "DELETE")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer bad", f"Bearer {BAD}", f"Basic {GOOD}"])
async def test_without_a_token_nothing_is_done(gateway: Gateway, method: str, header: str) -> None:
    answer = await ask(gateway, method, Authorization=header)
    assert answer.status_code == 401
    if method != "HEAD":
        assert answer.json()["reason"] == "Unauthenticated"


async def test_a_header_that_is_no_text_is_no_token(gateway: Gateway) -> None:
    head = f"GET /v1/store/{FOLDER}/reply.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head + b"\xff\xfe\r\n\r\n")
    assert b" 401 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert gateway.kube.asked == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("folder", [f"ns/{OTHER}", f"other/{UID}", "ns", f"ns/{UID}/x", f"ns/{UID}%2fx"])
async def test_other_folders_are_forbidden(gateway: Gateway, method: str, folder: str) -> None:
    answer = await ask(gateway, method, f"{folder}/result.json")
    assert answer.status_code == 403
    if method != "HEAD":
        assert answer.json()["reason"] == "StoreDenied"
    assert gateway.names() == set()


@pytest.mark.parametrize(
    "owner",
    [
        {"kind": "ReplicaSet"},
        {"apiVersion": "example.com/v1"},
        {"controller": False},
        {"uid": "another"},
        {"name": "gone"},
    ],
)
async def test_pods_of_no_session_may_nothing(gateway: Gateway, owner: dict[str, object]) -> None:
    gateway.kube.pod_owner |= owner
    assert (await ask(gateway, "GET")).status_code == 403


@pytest.mark.parametrize(
    "owner", [{"kind": "Avatar"}, {"apiVersion": "batch/v1"}, {"controller": False}, {"uid": OTHER}]
)
async def test_jobs_of_no_session_may_nothing(gateway: Gateway, owner: dict[str, object]) -> None:
    gateway.kube.job_owner |= owner
    assert (await ask(gateway, "GET")).status_code == 403


@pytest.mark.parametrize(
    "name", ["../../../openapi/v2", "..", "a/../b", "a?b", "a%2fb", "A", "", "a" * 254, 7]
)
async def test_a_name_that_is_none_is_not_asked_for(gateway: Gateway, name: object) -> None:
    gateway.kube.pod_owner["name"] = name
    gateway.kube.other_job = {"metadata": {"uid": "job-uid", "ownerReferences": [gateway.kube.job_owner]}}
    for _ in range(3):
        assert (await ask(gateway, "GET")).status_code == 403
    assert len(gateway.kube.asked) == 2  # token and pod


@pytest.mark.parametrize(
    "document",
    [{}, [], "text", {"metadata": None}, {"metadata": {"ownerReferences": [{"controller": True}]}}],
)
async def test_an_answer_of_another_shape_is_no_job(gateway: Gateway, document: object) -> None:
    gateway.kube.pod_owner["name"], gateway.kube.other_job = "other", document
    for _ in range(3):
        assert (await ask(gateway, "GET")).status_code == 403
    assert len(gateway.kube.asked) == 3


async def test_another_pod_of_the_same_name_is_another_pod(gateway: Gateway) -> None:
    gateway.kube.pod_uid = "of the pod that came after"
    assert (await ask(gateway, "GET")).status_code == 403


async def test_a_reader_reads_receipts_and_nothing_else(gateway: Gateway) -> None:
    folder = f"elsewhere/{OTHER}"
    (gateway.folder / folder).mkdir(parents=True)
    for name in ("result.json", "reply.json"):
        (gateway.folder / folder / name).write_text("{}")
    gateway.kube.account = "reader"
    assert (await ask(gateway, "GET", f"{folder}/result.json")).text == "{}"
    assert (await ask(gateway, "HEAD", f"{folder}/result.json")).status_code == 200
    assert (await ask(gateway, "PUT", f"{folder}/result.json")).status_code == 403
    assert (await ask(gateway, "DELETE", f"{folder}/result.json")).status_code == 403
    assert (await ask(gateway, "GET", f"{folder}/reply.json")).status_code == 403
    gateway.kube.account, gateway.now = "avatar-session", 61
    assert (await ask(gateway, "GET", f"{folder}/result.json")).status_code == 403


async def test_owners_are_looked_up_once_a_minute(gateway: Gateway) -> None:
    for _ in range(5):
        assert (await ask(gateway, "GET", f"{FOLDER}/reply.json")).status_code == 404
    assert len(gateway.kube.asked) == 3
    gateway.now = 61
    assert (await ask(gateway, "GET", f"{FOLDER}/reply.json")).status_code == 404
    assert len(gateway.kube.asked) == 6


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_pod_that_is_gone_writes_no_more(gateway: Gateway, method: str) -> None:
    assert (await ask(gateway, "PUT")).status_code == 201
    gateway.kube.pod_uid = "of the pod that came after"
    gateway.now = 4
    assert (await ask(gateway, method)).status_code in {201, 204}
    gateway.now = 6
    assert (await ask(gateway, "HEAD")).status_code in {200, 404}
    assert (await ask(gateway, method)).status_code == 403
    assert (await ask(gateway, "HEAD")).status_code == 403
    assert len(gateway.kube.asked) == 4


async def test_a_pod_within_its_grace_may_finish_though_its_job_is_gone(gateway: Gateway) -> None:
    assert (await ask(gateway, "PUT")).status_code == 201
    gateway.kube.pod_owner["name"], gateway.now = "gone", 6
    assert (await ask(gateway, "PUT")).status_code == 201
    gateway.now = 61
    assert (await ask(gateway, "PUT")).status_code == 403


async def test_an_api_server_that_is_down_is_waited_for(gateway: Gateway) -> None:
    gateway.kube.down = True
    answer = await ask(gateway, "GET")
    assert (answer.status_code, answer.json()["reason"]) == (503, "StoreUnavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    gateway.kube.down = False
    assert (await ask(gateway, "GET")).status_code == 404


async def test_clients_raise_the_same_reasons(gateway: Gateway) -> None:
    with pytest.raises(StoreError) as caught:
        await gateway.store(token=BAD).get(f"{FOLDER}/reply.json")
    assert caught.value.reason is Reason.UNAUTHENTICATED
    with pytest.raises(StoreError, match="does not work for this session") as caught:
        await gateway.store().get(f"ns/{OTHER}/reply.json")
    assert caught.value.reason is Reason.STORE_DENIED
    gateway.kube.down, gateway.now = True, 61
    with pytest.raises(StoreError) as caught:
        await gateway.store(tries=1).get(f"{FOLDER}/reply.json")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert caught.value.retry_after == 2
