"""What all resources are made of: how they are read, bounded types, metadata, references, conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from avatar_core.resources.rules import VALIDATIONS, Rule

GROUP, VERSION = "avatars.dev", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
ApiVersion = Literal["avatars.dev/v1alpha1"]

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
KEY_PATTERN = r"^[-._a-zA-Z0-9]+$"
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
PARAGRAPHS_PATTERN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
BUNDLE_PATTERN = r"^sha256:[0-9a-f]{64}$"
PATTERNS = {
    NAME_PATTERN: "must be lowercase letters, digits, '-' and '.', and begin and end with a letter or digit",
    KEY_PATTERN: "must be letters, digits, '-', '_' and '.'",
    LINE_PATTERN: "must be one line without control characters",
    PARAGRAPHS_PATTERN: "must hold no control characters but tabs and line breaks",
    SHA256_PATTERN: "must be 64 hexadecimal digits in lower case",
    BUNDLE_PATTERN: "must be 'sha256:' and 64 hexadecimal digits in lower case",
}
"""What each pattern of a schema means to a person."""


# Strict, since an API server takes neither "2" nor true for a number.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]
Line = Annotated[str, Field(min_length=1, max_length=253, pattern=LINE_PATTERN)]
Sha256 = Annotated[str, Field(max_length=64, pattern=SHA256_PATTERN)]
BundleId = Annotated[str, Field(max_length=71, pattern=BUNDLE_PATTERN)]
Count = Annotated[Whole, Field(ge=0, le=2**53 - 1)]
Amount = Annotated[Number, Field(ge=0, le=1e12)]


class Resource(BaseModel):
    """Base of every part of a resource: frozen, camelCase in YAML, nothing unknown, rules kept."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _as_json_has_it(cls, data: Any) -> Any:
        """null is dropped before defaults are filled in, and 2.0 is as whole as 2."""
        if not isinstance(data, Mapping):
            return data
        return {
            key: int(value) if isinstance(value, float) and value.is_integer() else value
            for key, value in data.items()
            if value is not None
        }

    @model_validator(mode="after")
    def _keep_rules(self, info: ValidationInfo) -> Any:
        for rule in self.RULES:
            rule.check(self, info)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler.resolve_ref_schema(handler(schema))
        if cls.RULES:
            found[VALIDATIONS] = [rule.as_schema() for rule in cls.RULES]
        return found


_PREFIX = r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
_WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_ANNOTATIONS_BYTES_MAX = 256 * 1024


def _keys(found: dict[str, str]) -> dict[str, str]:
    for key in found:
        if not re.fullmatch(_PREFIX + _WORD, key) or len(key.rpartition("/")[0]) > 253:
            raise ValueError(f"{key[:80]!r} must be a name of at most 63 characters, as in example.com/name")
    return found


def _labels(found: dict[str, str]) -> dict[str, str]:
    for key, value in _keys(found).items():
        if value and not re.fullmatch(_WORD, value):
            raise ValueError(f"{key}: must be at most 63 letters, digits, '-', '_' and '.'")
    return found


def _annotations(found: dict[str, str]) -> dict[str, str]:
    # Only names are held against a lower-cased key, as Kubernetes does.
    _keys({key.lower(): value for key, value in found.items()})
    if sum(len(key.encode()) + len(value.encode()) for key, value in found.items()) > _ANNOTATIONS_BYTES_MAX:
        raise ValueError(f"must be at most {_ANNOTATIONS_BYTES_MAX} bytes in all")
    return found


class Metadata(Resource):
    """What is read of an object's metadata; the rest of what a server adds is passed over."""

    name: Name
    namespace: Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)] = "default"
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = {}
    annotations: Annotated[dict[str, str], AfterValidator(_annotations)] = {}
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()

    _PASSED_OVER: ClassVar[frozenset[str]] = frozenset(
        ["deletionGracePeriodSeconds", "generateName", "managedFields", "ownerReferences", "selfLink"]
    )

    @model_validator(mode="before")
    @classmethod
    def _pass_over(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if key not in cls._PASSED_OVER}


class Reference(Resource):
    """An object of the same namespace."""

    name: Name
    """Its name."""


class SecretKeyReference(Resource):
    """One key of a Secret of the same namespace; on a laptop, the environment variable named `key`."""

    name: Name = "environment"
    """The Secret's name."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=KEY_PATTERN)]
    """The key in the Secret."""


class Condition(Resource):
    """One thing that is true, false or not known yet, and since when."""

    type: Annotated[str, Field(min_length=1, max_length=316, pattern=r"^[A-Za-z][-A-Za-z0-9_./]*$")]
    """What it is about."""
    status: Literal["True", "False", "Unknown"]
    """Unknown while it may still become either."""
    reason: Annotated[
        str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$")
    ]
    """Why, as one word for programs."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Why, and what to do, as a sentence for people."""
    last_transition_time: datetime
    """When the status last changed."""
    observed_generation: Count | None = None
    """The generation of the spec it was found for."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
