"""Models and `avatar lint` say of every generated manifest what is known of it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.manifest_cases import (
    ALL_CASES,
    RIGHTS,
    UPDATES,
    WRONG_CASES,
    Case,
    Update,
    as_yaml,
    cases,
    updates,
)

from avatar_cli.linting import lint
from avatar_core.errors import InvalidInputError
from avatar_core.manifests import check_resource, read_stored
from avatar_core.resources import AvatarSession, Place, refused_changes


def disagreement(case: Case) -> str:
    """Who is wrong about a case, if anyone."""
    found = check_resource(case.document, Place.CLUSTER)
    findings = lint(as_yaml(case.document).encode(), "case.yaml").findings
    verdicts = {"models": not isinstance(found, list), "lint": not findings}
    wrong = [name for name, verdict in verdicts.items() if verdict != case.valid]
    return f"{case.name}: {wrong} say {not case.valid}: {findings or found}" if wrong else ""


def change_is_allowed(update: Update) -> bool:
    old, new = (check_resource(document, Place.CLUSTER) for document in (update.old, update.new))
    assert isinstance(old, AvatarSession), old
    assert isinstance(new, AvatarSession), new
    return not refused_changes(old.spec, new.spec)


def test_the_fixed_cases_are_many_and_varied() -> None:
    found = cases()
    assert len({as_yaml(case.document) for case in found}) == len(found)
    assert Counter(case.valid for case in found) == {True: RIGHTS, False: len(WRONG_CASES)}
    assert all(number >= 20 for number in Counter((case.kind, case.valid) for case in found).values())


def test_models_and_lint_agree_on_the_fixed_cases() -> None:
    assert [text for case in cases() if (text := disagreement(case))] == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ALL_CASES)
def test_models_and_lint_agree_on_any_case(case: Case) -> None:
    assert disagreement(case) == ""


def test_the_twins_know_which_changes_are_allowed() -> None:
    found = updates()
    assert len(found) == UPDATES
    assert [update.name for update in found if change_is_allowed(update) != update.allowed] == []


def test_findings_name_the_field_that_was_changed() -> None:
    for case in cases():
        field = case.name.partition("=")[0]
        if case.valid or not field.startswith("spec.") or field.endswith(("Ref", "Ref.name")):
            continue
        findings = lint(as_yaml(case.document).encode(), "case.yaml").findings
        assert any(finding.field.startswith(field) for finding in findings), (case.name, findings)


def test_what_a_newer_version_added_is_passed_over_when_stored() -> None:
    document = next(case.document for case in cases() if case.valid and case.kind == "AvatarSession")
    newer = document | {"status": {"phase": "Running", "mood": "happy"}}
    newer["spec"] = newer["spec"] | {"later": {"a": 1}}
    stored = read_stored(newer)
    assert isinstance(stored, AvatarSession)
    assert stored.status.phase == "Running"


def test_what_is_stored_and_wrong_is_told() -> None:
    wrong = next(case.document for case in cases() if case.name.startswith("spec.video.fps="))
    with pytest.raises(InvalidInputError) as caught:
        read_stored(wrong)
    assert caught.value.field == "spec.video.fps"
