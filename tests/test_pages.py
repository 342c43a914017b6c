"""Pages lead where they say, and what they tell people to apply is taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from avatar_core.manifests import read_manifests
from avatar_core.resources import AvatarSession, settle
from avatar_core.resources.rules import Place
from avatar_core.resources.session import SessionSpec

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("charts/**/*.md")]
    if not path.is_relative_to(ROOT / ".venv")
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]+)?\)")
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target, anchor in LINK.findall(text):
        file = page.parent / target
        assert file.exists(), f"{target} is not there"
        if anchor and file.suffix == ".md":
            assert anchor[1:] in anchors(file.read_text()), f"{target} has no {anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_manifests_are_taken(page: Path) -> None:
    for block in BLOCK.findall(page.read_text()):
        if block.startswith("apiVersion: avatars.dev/"):
            assert read_manifests(block, page.name, Place.CLUSTER)


def test_pages_with_manifests_were_found() -> None:
    wanted = ("README.md", "docs/avatars.md", "docs/fr/README.md", "docs/quickstart.md")
    found = [name for name in wanted if "apiVersion: avatars.dev/" in (ROOT / name).read_text()]
    assert found == list(wanted)


def test_every_page_is_found_from_the_readme() -> None:
    found, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        found.add(page)
        targets = {(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text())}
        ahead += [target for target in targets - found if target.suffix == ".md"]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page.resolve() not in found] == []


def test_the_french_manifest_of_all_settings_says_what_is_so_anyway() -> None:
    """Its table names the defaults of the script that people come from."""
    page = (ROOT / "docs/fr/README.md").read_text()
    (block,) = [block for block in BLOCK.findall(page) if "maxTokens" in block]
    (session,) = read_manifests(block)
    assert isinstance(session, AvatarSession)
    spec, bare = session.spec, SessionSpec(prompt=session.spec.prompt)
    assert settle(spec) == settle(bare)
    assert bare == spec.model_copy(update={"llm": bare.llm, "video": bare.video})
    rows = dict(re.findall(r"^\|[^|]+\| `spec\.([\w.]+)`.+\| (\d+) \|$", page, re.MULTILINE))
    assert rows == {
        "llm.maxTokens": str(settle(bare).max_tokens),
        "videoTTLSeconds": str(bare.video_ttl_seconds),
        "video.fps": str(settle(bare).fps),
        "video.batchSize": str(settle(bare).batch_size),
        "timeoutSeconds": str(bare.timeout_seconds),
    }


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
