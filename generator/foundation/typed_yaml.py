"""A YAML file -> a pydantic model; what does not fit is said with file, line, key and what would be right."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from generator.foundation.errors import ConfigError, Fault
from generator.foundation.yaml_lines import Lines

Model = TypeVar("Model", bound=BaseModel)


def fill_model(model: type[Model], data: Mapping[str, Any], *, file: str, lines: Lines) -> Model:
    """Make a model of what `read_yaml` returned. Raises ConfigError with every fault at its line.

    A key that nobody knows is refused with the nearest right one. Where text is needed, `yes`, `1.0` and `2024-01-01`
    are the text that was written.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        written = _as_written(data, error, lines)
        if written is not None:
            return fill_model(model, written, file=file, lines=lines)
        raise ConfigError(faults_of(model, error, file=file, lines=lines)) from None


def faults_of(model: type[BaseModel], error: ValidationError, *, file: str, lines: Lines) -> list[Fault]:
    """Say what does not fit a model, each at its line: a key that nobody knows with the nearest right one."""
    faults = [_to_fault(model, file, item, lines) for item in error.errors()]
    # A value that fits neither of two types gives an error for each: the first says it.
    return [*{(fault.line, fault.column): fault for fault in reversed(faults)}.values()]


def _as_written(data: Mapping[str, Any], error: ValidationError, lines: Lines) -> dict[str, Any] | None:
    """Put the text that was written where text is needed; None where that changes nothing."""
    changed = copy.deepcopy(dict(data))
    found = False
    for item in error.errors():
        parent: Any = None
        node: Any = changed
        where: tuple[str | int, ...] = ()
        for part in item["loc"]:  # beside what was written it holds the members of unions
            if part in node if isinstance(node, Mapping) else isinstance(node, list) and part in range(len(node)):
                parent, node, where = node, node[part], (*where, part)
        if item["type"] == "string_type" and not isinstance(node, str) and where in lines.texts:
            parent[where[-1]] = lines.texts[where]
            found = True
    return changed if found else None


def _to_fault(root: type[BaseModel], file: str, item: Any, lines: Lines) -> Fault:
    is_unknown = item["type"] == "extra_forbidden"
    where, model = _named_path(root, item["loc"][:-1] if is_unknown else item["loc"])
    if is_unknown:
        where = (*where, item["loc"][-1])
    line = next((lines[where[:end]] for end in range(len(where), 0, -1) if where[:end] in lines), None)
    column = ".".join(map(str, where)) or None
    if is_unknown:
        known = list(model.model_fields) if model is not None else []
        near = difflib.get_close_matches(str(where[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        return Fault(file=file, line=line, column=column, expected=f"unknown key; {hint}")
    if item["type"] == "missing":
        return Fault(file=file, line=line, column=column, expected="this key is missing")
    found = None if isinstance(item["input"], Mapping) else str(item["input"])
    expected = item["msg"].removeprefix("Value error, ")
    return Fault(file=file, line=line, column=column, found=found, expected=expected)


def _named_path(
    root: type[BaseModel], location: tuple[str | int, ...]
) -> tuple[tuple[str | int, ...], type[BaseModel] | None]:
    """Keep of pydantic's location what the user wrote, not the members of a union; and find the model at its end."""
    path: list[str | int] = []
    model: type[BaseModel] | None = root
    is_key = False
    for part in location:
        field = model.model_fields.get(str(part)) if model is not None and not is_key else None
        if field is not None:
            model = _model_of(field.annotation)
        if field is not None or is_key or isinstance(part, int):
            path.append(part)
        is_key = field is not None and get_origin(field.annotation) is dict
    return tuple(path), model


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds: itself, a member of a union, or the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for model in map(_model_of, get_args(annotation)) if model is not None), None)
