"""Pages lead where they say, and what they tell people to apply is taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from avatar_core.manifests import read_manifests
from avatar_core.resources.rules import Place

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
    wanted = ("README.md", "docs/fr/README.md")
    found = [name for name in wanted if "apiVersion: avatars.dev/" in (ROOT / name).read_text()]
    assert found == list(wanted)


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
