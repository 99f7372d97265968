"""A YAML file -> a pydantic model; what does not fit is said with file, line, key and what would be right."""

from __future__ import annotations

import copy
import difflib
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from generator.foundation.errors import ConfigError, Fault
from generator.foundation.yaml_lines import Lines

Model = TypeVar("Model", bound=BaseModel)


def fill_model(model: type[Model], data: Mapping[str, Any], *, file: str, lines: Lines) -> Model:
    """Make a model of what `read_yaml` returned. Raises ConfigError with every fault at its line.

    A key that nobody knows is refused with the nearest right one. Where text is needed, `yes`, `1.0` and `2024-01-01`
    are the text that was written. An old name of a key (an alias) is read, and a FutureWarning says the new one.
    """
    try:
        filled = model.model_validate(data)
        _warn_of_old_names(model, data, file, lines)
        return filled
    except ValidationError as error:
        written = _as_written(data, error, lines)
        if written is not None:
            return fill_model(model, written, file=file, lines=lines)
        faults = [_to_fault(model, file, item, lines) for item in error.errors()]
        # A value that fits neither of two types gives an error for each: the first says it.
        raise ConfigError({(fault.line, fault.column): fault for fault in reversed(faults)}.values()) from None


def _warn_of_old_names(
    model: type[BaseModel], data: Mapping[str, Any], file: str, lines: Lines, where: tuple[str | int, ...] = ()
) -> None:
    for name, field in model.model_fields.items():
        inner, value = _model_of(field.annotation), data.get(name)
        if inner is not None and isinstance(value, Mapping):
            _warn_of_old_names(inner, value, file, lines, (*where, name))
        for old in _old_names(field):
            if old in data and (*where, old) in lines:
                dotted = ".".join(map(str, (*where, old)))
                said = f"{dotted} is now called {name}; the old name is read for one more release"
                warnings.warn_explicit(said, FutureWarning, file, lines[*where, old] or 1)


def _old_names(field: FieldInfo) -> list[str]:
    choices = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
    return [str(each) for each in choices[1:]]


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


def _to_fault(model: type[BaseModel], file: str, item: Any, lines: Lines) -> Fault:
    """Turn one pydantic error into a fault at its line."""
    where = _named_path(model, item)
    line = next((lines[where[:end]] for end in range(len(where), 0, -1) if where[:end] in lines), None)
    dotted = ".".join(str(part) for part in where)
    if item["type"] == "extra_forbidden":
        known = _known_keys(model, where[:-1])
        near = difflib.get_close_matches(str(where[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        return Fault(file=file, line=line, column=dotted, expected=f"unknown key; {hint}")
    message = item["msg"].removeprefix("Value error, ")
    found = None if isinstance(item["input"], Mapping) else str(item["input"])
    return Fault(file=file, line=line, column=dotted or None, found=found, expected=message)


def _named_path(root: type[BaseModel], item: Any) -> tuple[str | int, ...]:
    """Keep of pydantic's location what the user wrote: keys and positions, not the members of a union."""
    path: list[str | int] = []
    model: type[BaseModel] | None = root
    unknown = item["loc"][-1:] if item["type"] == "extra_forbidden" else ()
    for part in item["loc"][: len(item["loc"]) - len(unknown)]:
        fields = model.model_fields if model is not None else {}
        field = fields.get(str(part)) or next((each for each in fields.values() if part in _old_names(each)), None)
        if field is not None:
            model = _model_of(field.annotation)
            path.append(part)
        elif isinstance(part, int):
            path.append(part)
    return (*path, *unknown)


def _known_keys(root: type[BaseModel], where: tuple[str | int, ...]) -> list[str]:
    model = root
    for part in where:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _model_of(field.annotation) if field is not None else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds: itself, a member of a union, or the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for model in map(_model_of, get_args(annotation)) if model is not None), None)
