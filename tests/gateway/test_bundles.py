"""Prepared avatars through the gateway: real HTTP, a real folder, and the inference server's own client."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from shutil import copytree

import httpx2
import pytest
from tests.gateway.conftest import BAD, GOOD, Gateway

import avatar_inference.preview
from avatar_core.errors import AvatarError, Reason
from avatar_core.folders import BUNDLE_FILES, BUNDLE_MANIFEST
from avatar_inference.bundle_gateway import GatewayBundles
from avatar_inference.bundle_io import MANIFEST_FILE
from avatar_inference.bundle_manifest import ARRAYS_FILE, PICTURES_FILE, bundle_id

AVA = Path(avatar_inference.preview.__file__).parent / "ava"
MANIFEST = (AVA / MANIFEST_FILE).read_bytes()
ID = bundle_id(MANIFEST).removeprefix("sha256:")


@pytest.fixture
def keeper(gateway: Gateway) -> Gateway:
    gateway.kube.account = "keeper"
    return gateway


async def ask(
    gateway: Gateway, method: str, path: str, body: bytes | None = None, token: str = GOOD
) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{gateway.url}/v1/bundles/{path}"
        return await client.request(method, url, headers=headers, content=body)


def test_names_are_those_of_the_inference_server() -> None:
    assert (BUNDLE_MANIFEST, *BUNDLE_FILES) == (MANIFEST_FILE, PICTURES_FILE, ARRAYS_FILE)


async def test_a_bundle_goes_there_and_back(keeper: Gateway, tmp_path: Path) -> None:
    bundles = GatewayBundles(keeper.url, lambda: GOOD, tries=1)
    name = f"sha256:{ID}"
    await asyncio.to_thread(bundles.put, name, AVA)
    assert keeper.names() == {f"_bundles/{ID}/{file}" for file in (MANIFEST_FILE, PICTURES_FILE, ARRAYS_FILE)}
    back = tmp_path / "back"
    back.mkdir()
    await asyncio.to_thread(bundles.fetch, name, back, lambda size: None)
    for file in (MANIFEST_FILE, PICTURES_FILE, ARRAYS_FILE):
        assert (back / file).read_bytes() == (AVA / file).read_bytes()


async def test_a_bundle_is_there_when_its_manifest_is(keeper: Gateway) -> None:
    pictures = (AVA / PICTURES_FILE).read_bytes()
    early = await ask(keeper, "PUT", f"{ID}/{MANIFEST_FILE}", MANIFEST)
    assert (early.status_code, "comes last" in early.json()["error"]) == (422, True)
    assert (await ask(keeper, "PUT", f"{ID}/{PICTURES_FILE}", pictures)).status_code == 201
    assert (await ask(keeper, "GET", f"{ID}/{PICTURES_FILE}")).status_code == 404
    arrays = (AVA / ARRAYS_FILE).read_bytes()
    assert (await ask(keeper, "PUT", f"{ID}/{ARRAYS_FILE}", arrays[:-1])).status_code == 201
    assert (await ask(keeper, "PUT", f"{ID}/{MANIFEST_FILE}", MANIFEST)).status_code == 422
    assert (await ask(keeper, "PUT", f"{ID}/{ARRAYS_FILE}", arrays)).status_code == 201
    assert (await ask(keeper, "HEAD", f"{ID}/{MANIFEST_FILE}")).status_code == 404
    assert (await ask(keeper, "PUT", f"{ID}/{MANIFEST_FILE}", MANIFEST)).status_code == 201
    assert (await ask(keeper, "GET", f"{ID}/{PICTURES_FILE}")).content == pictures
    assert (await ask(keeper, "HEAD", f"{ID}/{MANIFEST_FILE}")).status_code == 200


@pytest.mark.parametrize("body", [MANIFEST + b" ", b"", b"{}", b"[" * 200_000])
async def test_a_manifest_of_another_name_or_none_at_all(keeper: Gateway, body: bytes) -> None:
    for folder in (ID, sha256(body).hexdigest()):
        answer = await ask(keeper, "PUT", f"{folder}/{MANIFEST_FILE}", body)
        assert answer.status_code == 422
    assert keeper.names() == set()


async def test_a_manifest_is_small(keeper: Gateway) -> None:
    large = bytes(4 * 1024 * 1024 + 1)
    name = f"{sha256(large).hexdigest()}/{MANIFEST_FILE}"
    assert (await ask(keeper, "PUT", name, large)).status_code == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_only_keepers(gateway: Gateway, method: str) -> None:
    copytree(AVA, gateway.folder / "_bundles" / ID)
    before = gateway.names()
    body = b"x" if method == "PUT" else None
    for account in ("avatar-session", "reader"):
        gateway.kube.account = account
        gateway.now += 100
        assert (await ask(gateway, method, f"{ID}/{PICTURES_FILE}", body)).status_code == 403
    assert (await ask(gateway, method, f"{ID}/{PICTURES_FILE}", body, BAD)).status_code == 401
    assert gateway.names() == before


@pytest.mark.parametrize(
    "path",
    [
        *(
            ID,
            f"{ID}/",
            f"{ID}/video.mp4",
            f"{ID}/manifest.json/",
            f"{ID}/a/manifest.json",
            "x/manifest.json",
        ),
        *(
            f"{ID.upper()}x/manifest.json",
            f"{ID[:-1]}/manifest.json",
            f"{ID}/manifest%2ejson",
            "x/manifest.json",
        ),
        *(f"{ID}/manifest.json?x", f"%2e%2e/{ID}/manifest.json"),
    ],
)
async def test_other_names(keeper: Gateway, path: str) -> None:
    copytree(AVA, keeper.folder / "_bundles" / ID)
    assert (await ask(keeper, "GET", path)).status_code == 403


async def test_keepers_have_no_way_to_videos_nor_pods_to_bundles(keeper: Gateway) -> None:
    with pytest.raises(AvatarError) as caught:
        await keeper.store(tries=1).get(f"_bundles/{ID}/{MANIFEST_FILE}")
    assert caught.value.reason in {Reason.STORE_DENIED, Reason.UNAUTHENTICATED}
