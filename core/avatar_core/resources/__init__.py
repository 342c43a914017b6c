"""The custom resources as a person writes them: AvatarSession, Avatar and AvatarProvider, group avatars.dev.

The same models read a file on a laptop and an object in a cluster, and the CRDs are generated from them. They
are frozen; what a session really runs with (profile and defaults applied) is `SessionSettings`.
"""

from avatar_core.resources.avatar import Avatar, AvatarSpec, AvatarStatus, Finding
from avatar_core.resources.base import (
    API_VERSION,
    GROUP,
    PATTERNS,
    VERSION,
    Condition,
    Metadata,
    Reference,
    Resource,
    SecretKeyReference,
)
from avatar_core.resources.provider import (
    AvatarProvider,
    LLMProvider,
    ProviderSpec,
    ProviderStatus,
    SpeechProvider,
)
from avatar_core.resources.rules import Place, Rule, refused_changes
from avatar_core.resources.session import (
    AvatarSession,
    LLMSpec,
    SessionSettings,
    SessionSpec,
    SpeechSpec,
    VideoSpec,
    settle,
)
from avatar_core.resources.session_status import (
    SessionStatus,
    StageProgress,
    StageTiming,
    Timings,
    Usage,
    VideoStatus,
)

__all__ = [
    "API_VERSION",
    "GROUP",
    "PATTERNS",
    "VERSION",
    "Avatar",
    "AvatarProvider",
    "AvatarSession",
    "AvatarSpec",
    "AvatarStatus",
    "Condition",
    "Finding",
    "LLMProvider",
    "LLMSpec",
    "Metadata",
    "Place",
    "ProviderSpec",
    "ProviderStatus",
    "Reference",
    "Resource",
    "Rule",
    "SecretKeyReference",
    "SessionSettings",
    "SessionSpec",
    "SessionStatus",
    "SpeechProvider",
    "SpeechSpec",
    "StageProgress",
    "StageTiming",
    "Timings",
    "Usage",
    "VideoSpec",
    "VideoStatus",
    "refused_changes",
    "settle",
]
