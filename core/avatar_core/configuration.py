"""Configuration files of the services: YAML, held against a model, a mistake told by its field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from avatar_core.errors import InvalidInputError, Reason

STRICT = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True)
"""Of a model of such a file: camelCase there, and nothing unknown."""

Model = TypeVar("Model", bound=BaseModel)


def read_file(path: Path, model: type[Model]) -> Model:
    """Reads a YAML file.

    Raises:
        InvalidInputError: it can't be read; names the field.
    """
    try:
        return model.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{first['msg']} [{path}]", field=field) from None
