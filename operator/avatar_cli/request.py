"""From a command line to what is to be made: flags and manifests become sessions with their providers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from avatar_cli.flags import INPUTS, override
from avatar_core.errors import InvalidInputError, Reason
from avatar_core.manifests import read_manifests, read_resource
from avatar_core.resources import (
    API_VERSION,
    AvatarProvider,
    AvatarSession,
    LLMProvider,
    ProviderSpec,
)

KEY_VARIABLE = "OPENAI_API_KEY"
COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Request:
    """One video to be made.

    Attributes:
        session: flags applied; a path to sound is relative to where the command runs.
        provider: where its reply and voice come from.
    """

    session: AvatarSession
    provider: ProviderSpec


def requests(
    manifest: str | None,
    source: str,
    flags: Mapping[str, Any],
    *,
    folder: Path = Path(),
    llm_url: str | None = None,
    name: str = "video",
    environment: Mapping[str, str] = os.environ,
) -> list[Request]:
    """Every video a command line asks for, in order.

    Args:
        manifest: YAML text, or None when there is no file.
        source: what to call it in messages.
        flags: by the names of `flags.FIELDS`; None where a flag was not given. A flag wins over the manifest.
        folder: of the manifest; paths in it are relative to that.
        llm_url: base URL of an LLM that takes the place of any provider's.
        name: of a session made of flags alone.
        environment: where keys are looked for.

    Raises:
        InvalidInputError: a wrong manifest or value, no input or more than one, a provider nobody described.
    """
    resources = [] if manifest is None else read_manifests(manifest, source)
    found = [resource for resource in resources if isinstance(resource, AvatarSession)]
    providers = [resource for resource in resources if isinstance(resource, AvatarProvider)]
    _one_input(found, flags, source)
    documents = [_document(session, folder) for session in found]
    origin = source if found else COMMAND_LINE
    sessions = [_session(document, flags, origin) for document in documents or [_empty(name)]]
    _refuse_twins(sessions)
    return [
        Request(session, _provider(session, providers, llm_url, flags.get("model"), environment))
        for session in sessions
    ]


def output_of(session: AvatarSession) -> Path:
    """Where a session's video goes unless told."""
    return Path("out") / f"{session.metadata.name}.mp4"


def name_after(output: Path | None) -> str:
    """A session's name after the file it makes: "april" for out/April.mp4."""
    name = re.sub(r"[^a-z0-9]+", "-", output.stem.lower() if output else "video").strip("-")
    return name[:52].rstrip("-") or "video"


def _empty(name: str) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "AvatarSession", "metadata": {"name": name}, "spec": {}}


def _document(session: AvatarSession, folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = session.model_dump(by_alias=True, exclude_unset=True)
    audio = session.spec.audio
    if audio is not None and "://" not in audio:
        document["spec"]["audio"] = str(folder / audio)
    return document


def _session(document: Mapping[str, Any], flags: Mapping[str, Any], source: str) -> AvatarSession:
    session = read_resource(override(document, flags), source)
    assert isinstance(session, AvatarSession)
    return session


def _one_input(sessions: Sequence[AvatarSession], flags: Mapping[str, Any], source: str) -> None:
    given = [f"--{name}" for name in INPUTS if flags.get(name) is not None]
    if sessions and given:
        message = f"{source} says already what is to be said; leave out {' and '.join(given)}"
    elif len(given) > 1:
        message = f"give one of --text, --prompt and --audio, not {' and '.join(given)}"
    elif not sessions and not given:
        message = "nothing to say: give a FILE with an AvatarSession, or --text, --prompt or --audio"
    else:
        return
    raise InvalidInputError(Reason.INVALID_SPEC, message, field="spec")


def _refuse_twins(sessions: Sequence[AvatarSession]) -> None:
    names = [session.metadata.name for session in sessions]
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        message = f"two sessions are named {twin!r}; each makes a file of its name"
        raise InvalidInputError(Reason.INVALID_SPEC, message, field="metadata.name")


def _provider(
    session: AvatarSession,
    providers: Sequence[AvatarProvider],
    llm_url: str | None,
    model: str | None,
    environment: Mapping[str, str],
) -> ProviderSpec:
    """The provider a session names, else the one named `default`, else espeak; flags put an LLM into it."""
    known = {provider.metadata.name: provider.spec for provider in providers}
    wanted = session.spec.provider_ref.name if session.spec.provider_ref else None
    if wanted is not None and wanted not in known:
        near = get_close_matches(wanted, known, n=1)
        hint = (
            f"; did you mean {near[0]!r}?" if near else "; describe it as an AvatarProvider in the same file"
        )
        message = f"no provider is named {wanted!r}{hint}"
        raise InvalidInputError(Reason.PROVIDER_NOT_FOUND, message, field="spec.providerRef.name")
    provider = known.get(wanted or "default", ProviderSpec())
    has_key = bool(environment.get(KEY_VARIABLE))
    if llm_url is not None and not model:
        message = "--llm-url needs --model: the name that server knows its model by"
        raise InvalidInputError(Reason.INVALID_SPEC, message, field="spec.llm.model")
    if llm_url is not None or (provider.llm is None and model and has_key):
        return provider.model_copy(update={"llm": _llm(llm_url, model, has_key=has_key)})
    return provider


def _llm(base_url: str | None, model: str | None, *, has_key: bool) -> LLMProvider | None:
    """What flags say of an LLM, checked as if it stood in a manifest."""
    llm: dict[str, Any] = {"model": model}
    if base_url is not None:
        llm["baseURL"] = base_url
    if has_key:
        llm["apiKeySecretRef"] = {"key": KEY_VARIABLE}
    document = {"kind": "AvatarProvider", "metadata": {"name": "flags"}, "spec": {"llm": llm}}
    provider = read_resource({"apiVersion": API_VERSION, **document}, COMMAND_LINE)
    assert isinstance(provider, AvatarProvider)
    return provider.spec.llm
