"""Right manifests of all three kinds, as strategies; what is right is written here anew, from no model."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]

_NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
_DOTTED = st.from_regex(r"[a-z0-9]{1,9}(\.[a-z]{1,9}){0,2}", fullmatch=True)
_LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"])
_LINES = st.text(_LETTERS, min_size=1, max_size=60)
_HOSTILE = st.sampled_from(
    [
        "$(OPENAI_API_KEY)",
        "$$(HOME) ${PATH} `id` $(reboot)",
        "{{ .Values.secret }} {% raw %} %s %(x)s {0.__class__}",
        '\'; DROP TABLE avatars; -- "quoted"',
        "../../../etc/passwd",
        "--help",
        "a\nb\tc\r\nd",
        "null",
        "y",
        "1e3",
        "2026-01-01",
        "😀 العربية 漢字 e\u0301",
        "\ufeffmarked",
        "a" * 8192,
        "é" * 4096,
        "😀" * 2048,
    ]
)
_SPOKEN = _HOSTILE | st.text(_LETTERS | st.sampled_from("\t\n\r"), min_size=1, max_size=80).map(
    lambda t: f"Hi {t}"
)
_HTTPS = st.sampled_from(
    [
        "https://example.com/a.wav",
        "https://example.com",
        "https://example.com:8443/a/b%20c.png?sig=a+b/c==&x=$(HOME)",
        "https://[2001:db8::1]/face.jpg",
        "https://xn--bcher-kva.example/~me/'x'.mp4",
        "https://e/" + "a" * 2038,
    ]
)
_BASE_URLS = st.sampled_from(
    [
        "http://127.0.0.1:11434/v1",
        "https://api.example.com/v1/",
        "http://vllm.models.svc",
        "http://[::1]:8000/v1",
    ]
)
_RATES = st.integers(12, 30) | st.sampled_from(
    ["12", "30", "15.0", "29.97", "23.976", "12.0001", "30.0000", "30000/1001", "24000/1001", "12/1", "60/2"]
)
_REFERENCES = st.fixed_dictionaries({"name": _DOTTED})


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """A mapping with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


_INPUTS = st.one_of(
    st.fixed_dictionaries({"prompt": _SPOKEN}),
    st.fixed_dictionaries({"text": _SPOKEN | st.just("ä" * 8192)}),
    st.fixed_dictionaries({"audio": _HTTPS}),
)
_SESSION_OPTIONS = _some(
    avatarRef=_REFERENCES,
    providerRef=_REFERENCES,
    llm=_some(
        model=_LINES,
        maxTokens=st.integers(1, 4096),
        temperature=st.floats(0, 2).map(lambda t: round(t, 3)),
        systemPrompt=_SPOKEN | st.just(""),
    ),
    speech=_some(voice=_LINES, speed=st.sampled_from([0.25, 1, 1.5, 4])),
    video=_some(
        profile=st.sampled_from(["fast", "balanced", "quality", "legacy"]),
        fps=_RATES,
        batchSize=st.integers(1, 4),
        height=st.integers(64, 1080).map(lambda half: 2 * half),
    ),
    startTimeoutSeconds=st.integers(1, 86_400),
    timeoutSeconds=st.integers(1, 86_400),
    videoTTLSeconds=st.integers(0, 2_592_000),
    ttlSecondsAfterFinished=st.integers(0, 2_592_000) | st.none(),
    suspend=st.booleans() | st.none(),
    cancel=st.booleans(),
    retry=st.integers(0, 1000),
    continueFrom=st.fixed_dictionaries({"name": st.just("earlier")}),
)
_SESSIONS = st.builds(lambda given, options: given | options, _INPUTS, _SESSION_OPTIONS)
_SECRETS = st.fixed_dictionaries(
    {"key": st.sampled_from(["KEY", "tls.key", "_a-b.C"])}, optional={"name": _DOTTED}
)
_PROVIDERS = _some(
    llm=st.fixed_dictionaries(
        {"model": _LINES}, optional={"baseURL": _BASE_URLS, "apiKeySecretRef": _SECRETS}
    ),
    speech=_some(
        type=st.sampled_from(["espeak", "openai"]),
        baseURL=_BASE_URLS,
        model=_LINES,
        voice=_LINES,
        apiKeySecretRef=_SECRETS,
    ),
)
_SHA = st.text("0123456789abcdef", min_size=64, max_size=64)
_AVATARS = st.fixed_dictionaries(
    {
        "source": st.fixed_dictionaries({"url": _HTTPS}, optional={"sha256": _SHA})
        | st.fixed_dictionaries({"bundle": _SHA.map(lambda digest: f"sha256:{digest}")})
    },
    optional={
        "face": _some(
            index=st.integers(1, 16),
            box=st.fixed_dictionaries(
                {
                    "left": st.integers(0, 8192),
                    "top": st.integers(0, 8192),
                    "width": st.integers(64, 8192),
                    "height": st.integers(64, 8192),
                }
            ),
        ),
        "motion": _some(fps=st.integers(5, 60), sideMax=st.integers(128, 4096), keepEnds=st.booleans()),
        "repaint": _some(
            mask=st.sampled_from(["landmarks", "jaw", "raw", "neck"]),
            cheeks=_some(left=st.integers(0, 256), right=st.integers(0, 256)),
            margin=st.integers(0, 400),
            shift=st.integers(-400, 400),
            keepJitter=st.booleans(),
        ),
    },
)
KINDS = {"AvatarSession": _SESSIONS, "AvatarProvider": _PROVIDERS, "Avatar": _AVATARS}
_LABELS = st.dictionaries(
    st.sampled_from(["app", "kueue.x-k8s.io/queue-name", "a/B_c.d-9"]),
    st.sampled_from(["", "a", "A.b_c-9", "1" * 63]),
)


def _document(kind: str, name: str, labels: dict[str, str], spec: Document) -> Document:
    metadata: Document = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "avatars.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": deepcopy(spec)}


def right(kind: str) -> st.SearchStrategy[Document]:
    """Manifests of a kind that must be accepted."""
    names = _NAMES if kind == "AvatarSession" else _NAMES | _DOTTED
    return st.builds(_document, st.just(kind), names, _LABELS, KINDS[kind])
