"""`avatar watch`: progress to the end through connections that break, and the page of the video."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request

import pytest
from tests.cluster import eventually
from tests.cluster.cli.conftest import Place, condition, failed, made, running
from tests.support.stand_in_gateway import PAGE, StandInGateway

from avatar_core.errors import REASONS, Actor, Reason

pytestmark = pytest.mark.cluster
LINK = "http://videos.example/v/1.2.x/team/uid/"


def test_from_the_line_to_the_video(place: Place) -> None:
    place.apply()
    watching = place.start("watch", "hello")
    watching.until("waiting for the operator to take it up")
    line = condition("Succeeded", "Unknown", "WaitingForCapacity", "other sessions come first")
    place.write({"phase": "Pending", "queuePosition": 3, "conditions": [line]})
    watching.until("in line, at position 3")
    place.write(running("speech", 40, 1.2, 3))
    watching.until("speak     40 %  1.2/3.0 s of sound")
    place.write(running("render", 33, 12, 36))
    watching.until("draw      33 %  12/36 frames")
    place.write(made(LINK))
    assert watching.end() == 0
    err, out = "".join(watching.err), "".join(watching.out)
    assert err.splitlines()[0] == "hello"
    assert "speak    100 %" in err and "draw     100 %  36/36 frames" in err and "publish  100 %" in err
    assert out.splitlines()[0] == "hello has its video"
    assert "  video    512x512, 36 frames at 15/s, 2.4 s, 12 kB" in out
    assert "download hello" in out
    assert "\x1b" not in err + out
    assert max(map(len, out.splitlines())) <= 80


def test_json_is_one_object_a_line(place: Place) -> None:
    place.apply(status=running("render", 33, 12, 36))
    watching = place.start("watch", "hello", "--json")
    watching.until('"render"')
    place.write(made(LINK))
    assert watching.end() == 0
    entries = [json.loads(line) for line in watching.out]
    assert entries[0] == {"event": "started", "name": "hello"}
    assert [e["done"] for e in entries if e.get("stage") == "render"] == [12, 36]
    assert (entries[-1]["event"], entries[-1]["video"]["url"]) == ("ended", LINK)


def test_a_new_attempt_begins_anew(place: Place) -> None:
    place.apply(status=running("render", 90, 33, 36))
    watching = place.start("watch", "hello")
    watching.until("draw      91 %")
    place.write({**running("llm", 0, 0), "attempt": 2})
    watching.until("write      -    0 tokens")
    place.write({**running("render", 10, 4, 36), "attempt": 2})
    watching.until("draw      11 %  4/36 frames")
    assert watching.end(signal.SIGINT) == 130


def test_cut_watches_are_begun_again(place: Place) -> None:
    place.apply(status=running("render", 10, 4, 36))
    link = place.cluster.link()
    watching = place.start("watch", "hello", config=place.config(place.cluster.kubeconfig(link=link)))
    watching.until("4/36")
    with link.refused():
        watching.until("the cluster does not answer")
        place.write(running("render", 50, 18, 36))
        time.sleep(1.5)
        assert "18/36" not in watching.said
    watching.until("18/36")
    link.cut()
    place.write(made(LINK))
    assert watching.end() == 0


def test_a_history_that_is_forgotten_is_read_anew(place: Place) -> None:
    place.apply(status=running("render", 10, 4, 36))
    link = place.cluster.link()
    watching = place.start("watch", "hello", config=place.config(place.cluster.kubeconfig(link=link)))
    watching.until("4/36")
    with link.refused():
        place.write(running("render", 50, 18, 36))
        place.cluster.forget_history()
    watching.until("18/36")
    assert watching.end(signal.SIGTERM) == 130


def test_ctrl_c_leaves_the_session_alone(place: Place) -> None:
    place.apply(status=running("render", 10, 4, 36))
    watching = place.start("watch", "hello")
    watching.until("4/36")
    assert watching.end(signal.SIGINT) == REASONS[Reason.CANCELLED].exit_code
    assert "stopped watching; the session goes on" in watching.said
    assert "Traceback" not in watching.said
    assert place.session()["spec"]["cancel"] is False


def test_a_session_that_is_deleted_or_replaced(place: Place) -> None:
    place.apply(status=running("render", 10, 4, 36))
    watching = place.start("watch", "hello")
    watching.until("4/36")
    place.delete()
    place.apply()
    assert watching.end() == 24
    assert "session 'hello' in namespace" in watching.said and "was deleted" in watching.said


@pytest.mark.parametrize(
    "reason",
    [
        Reason.LLM_REFUSED,
        Reason.LLM_UNAUTHORIZED,
        Reason.RESULT_LOST,
        Reason.DEADLINE_EXCEEDED,
        Reason.CANCELLED,
    ],
)
def test_a_session_that_fails_ends_it_with_the_reasons_code_and_advice(place: Place, reason: Reason) -> None:
    """One for each kind of advice: for users and administrators, final and worth another attempt."""
    info = REASONS[reason]
    place.apply(status=running("llm", 10, 4))
    watching = place.start("watch", "hello")
    watching.until("4 tokens")
    place.write(failed(reason, f"exactly why. {info.advice}", stage="llm"))
    assert watching.end() == info.exit_code
    told = "".join(watching.err)
    assert f"Error: {reason}\n  message  the session failed (stage llm): exactly why.\n" in told
    assert told.endswith(f"  advice   {info.advice}\n")
    assert "".join(watching.out) == ""


def test_all_actors_are_among_them() -> None:
    assert {REASONS[r].actor for r in (Reason.LLM_REFUSED, Reason.LLM_UNAUTHORIZED)} == {
        Actor.USER,
        Actor.ADMIN,
    }


def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_the_page_is_opened_for_this_person_alone(place: Place, gateway: StandInGateway) -> None:
    opened = place.folder / "opened"
    browser = place.folder / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o755)
    place.apply(status=running("render", 10, 4, 36, video={"url": gateway.link}))
    watching = place.start("watch", "hello", "--play", BROWSER=str(browser))
    watching.until("watch it at ")
    [url] = re.findall(r"watch it at (\S+)", watching.said)
    assert eventually(lambda: opened.exists() and opened.read_text()) == url
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[A-Za-z0-9_-]{32}/", url)
    assert fetch(url)[:2] == (200, PAGE)
    status, body, headers = fetch(f"{url}video.mp4", Range="bytes=10-19")
    assert (status, body, headers["Content-Range"]) == (
        206,
        gateway.video[10:20],
        f"bytes 10-19/{len(gateway.video)}",
    )
    assert all("authorization" not in asked and "cookie" not in asked for _, _, asked in gateway.asked)
    before = len(gateway.asked)
    assert fetch(f"{url}../x")[0] == 404
    assert fetch(f"{url}..%2fx")[0] == 404
    assert fetch(re.sub(r"/[\w-]{32}/", f"/{'x' * 32}/", url))[0] == 404
    assert fetch(url, Host="rebound.example")[0] == 404
    assert len(gateway.asked) == before
    place.write(made(gateway.link))
    watching.until("until Ctrl-C")
    assert fetch(f"{url}video.mp4")[1] == gateway.video
    assert watching.end(signal.SIGINT) == 0
    assert "hello has its video" in watching.said


def test_no_browser_is_no_failure(place: Place, gateway: StandInGateway) -> None:
    place.apply(status=made(gateway.link))
    watching = place.start("watch", "hello", "--play", BROWSER="/bin/false", PATH="/nowhere", DISPLAY="")
    watching.until("until Ctrl-C")
    assert watching.end(signal.SIGINT) == 0
