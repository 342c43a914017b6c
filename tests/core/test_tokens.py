"""Reviews of tokens: each at most once a minute, however often and however many at once ask."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from tests.support.tokens import base64url, unsigned

from avatar_core.cluster import tokens as module
from avatar_core.cluster.kube import Kube, KubeError
from avatar_core.cluster.tokens import CallerError, Tokens

AUDIENCE = "operator.avatars.dev"
POD = "authentication.kubernetes.io/pod-"


class Reviews:
    """Takes TokenReviews; what it says of them is that of a real API server."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = False

    async def create(self, _: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body["spec"]["token"])
        await asyncio.sleep(0)
        if self.down:
            raise KubeError(503, "", "no")
        if "good" not in body["spec"]["token"]:
            return {"status": {"user": {}, "error": "unknown"}}
        extra = {f"{POD}name": ["pod"], f"{POD}uid": ["uid"]}
        user = {"username": "system:serviceaccount:ns:avatar-session", "extra": extra}
        return {"status": {"authenticated": True, "audiences": body["spec"]["audiences"], "user": user}}


def bearer(name: str) -> str:
    return f"Bearer {unsigned(AUDIENCE, signature=name)}"


def tokens(reviews: Reviews, now: list[float]) -> Tokens:
    return Tokens(cast("Kube", reviews), AUDIENCE, lambda: now[0])


async def test_a_pod_that_posts_every_second_is_reviewed_once_a_minute() -> None:
    reviews, now = Reviews(), [1000.0]
    known = tokens(reviews, now)
    for second in range(180):
        now[0] = 1000.0 + second
        assert (await known.caller(bearer("good"), "10.0.0.1")).pod_uid == "uid"
    assert len(reviews.asked) == 3


async def test_posts_at_the_same_moment_share_a_review() -> None:
    reviews = Reviews()
    known = tokens(reviews, [0.0])
    await asyncio.gather(*(known.caller(bearer("good"), "10.0.0.1") for _ in range(20)))
    assert len(reviews.asked) == 1


async def test_a_bad_token_is_remembered_as_well() -> None:
    reviews, now = Reviews(), [0.0]
    known = tokens(reviews, now)
    for second in range(90):
        now[0] = float(second)
        with pytest.raises(CallerError) as refused:
            await known.caller(bearer("bad"), "10.0.0.1")
        assert refused.value.status == 401
    assert len(reviews.asked) == 2


async def test_no_answer_is_no_verdict() -> None:
    reviews = Reviews()
    known = tokens(reviews, [0.0])
    reviews.down = True
    with pytest.raises(KubeError):
        await known.caller(bearer("good"), "10.0.0.1")
    reviews.down = False
    assert (await known.caller(bearer("good"), "10.0.0.1")).pod == "pod"


async def test_unknown_tokens_come_at_a_bounded_rate() -> None:
    reviews = Reviews()
    known = tokens(reviews, [0.0])
    found = await asyncio.gather(
        *(known.caller(bearer(f"good{n}"), f"10.0.0.{n}") for n in range(200)), return_exceptions=True
    )
    held_back = [error for error in found if isinstance(error, CallerError)]
    assert {error.status for error in held_back} == {429}
    assert len(reviews.asked) == 200 - len(held_back) <= 60


async def test_one_address_holds_up_only_itself() -> None:
    reviews, now = Reviews(), [0.0]
    known = tokens(reviews, now)
    await asyncio.gather(
        *(known.caller(bearer(f"bad{n}"), "10.0.0.1") for n in range(200)), return_exceptions=True
    )
    assert len(reviews.asked) <= 25
    with pytest.raises(CallerError) as refused:
        await known.caller(bearer("good"), "10.0.0.1")
    assert refused.value.status == 429
    assert (await known.caller(bearer("good"), "10.0.0.2")).pod == "pod"
    now[0] = 1.0
    assert (await known.caller(bearer("good2"), "10.0.0.1")).pod == "pod"


async def test_only_some_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESSES_MAX", 3)
    known = tokens(Reviews(), [0.0])
    for number in range(10):
        await known.caller(bearer(f"good{number}"), f"10.0.0.{number}")
    assert len(known._buckets) == 3


IMPLAUSIBLE = {
    "no JWT": "x" * 900,
    "two parts": unsigned(AUDIENCE).rpartition(".")[0],
    "four parts": unsigned(AUDIENCE) + ".x",
    "an empty part": unsigned(AUDIENCE, signature=""),
    "too long": unsigned(AUDIENCE, signature="x" * 9000),
    "no base64": "a.!!!!.good",
    "no JSON": "a.AAAA.good",
    "no object": "a.W10.good",
    "too deep": f"a.{base64url(b'[' * 6000)}.good",
    "another audience": unsigned("gateway.avatars.dev"),
    "no audience": unsigned(None),
    "half an audience": unsigned(AUDIENCE[:-1]),
    "an audience of a strange kind": unsigned({"aud": AUDIENCE}),
    "expired": unsigned(AUDIENCE, expires=1000),
    "no expiry": unsigned(AUDIENCE, expires=None),
}


@pytest.mark.parametrize("token", IMPLAUSIBLE.values(), ids=IMPLAUSIBLE.keys())
async def test_what_can_be_no_token_of_ours_is_not_reviewed(token: str) -> None:
    reviews = Reviews()
    known = tokens(reviews, [0.0])
    for _ in range(100):
        with pytest.raises(CallerError) as refused:
            await known.caller(f"Bearer {token}", "10.0.0.1")
        assert refused.value.status == 401
    assert reviews.asked == []
    assert (await known.caller(bearer("good"), "10.0.0.1")).pod == "pod"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer  ", "Basic good", "Bearer \udcff", "Bearer a.ü.c"])
async def test_what_is_no_token_at_all(header: str) -> None:
    with pytest.raises(CallerError) as refused:
        await tokens(Reviews(), [0.0]).caller(header, "10.0.0.1")
    assert refused.value.status == 401


async def test_an_audience_may_stand_alone() -> None:
    token = unsigned(AUDIENCE, signature="good", alone=True)
    assert (await tokens(Reviews(), [0.0]).caller(f"bearer {token} ", "10.0.0.1")).pod == "pod"
