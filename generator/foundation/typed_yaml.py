"""YAML files -> pydantic models; what does not fit is said with file, line, key and what would be right."""

from __future__ import annotations

import copy
import difflib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from generator.foundation.errors import ConfigError, Fault, FaultsError
from generator.foundation.text import NotTextError, decode_text

Model = TypeVar("Model", bound=BaseModel)
_WORDS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:null")


class Lines(dict[tuple[str | int, ...], int]):
    """Path of keys and positions -> line, counted from 1.

    `texts`: likewise, what stands there, where YAML makes a number, a date or a truth value of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[tuple[str | int, ...], str] = {}


def read_yaml(path: Path) -> tuple[dict[str, Any], Lines]:
    """Return the data and the line of every key path in it; keys are text (YAML 1.1 takes `yes` for a truth value).

    Raises ConfigError with the line of what cannot be read.
    """
    file = str(path)
    try:
        node = yaml.compose(decode_text(path.read_bytes()), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise ConfigError([Fault(file=file, expected="there is no such file")]) from None
    except OSError as error:
        raise ConfigError([Fault(file=file, expected=f"cannot be read: {error.strerror}")]) from None
    except NotTextError as error:
        raise ConfigError([error.fault(file)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError([Fault(file=file, line=line, expected=f"is not YAML: {problem}")]) from None
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return {}, Lines()
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError([Fault(file=file, line=1, expected="a mapping is needed: lines of 'key: value'")])
    lines = Lines()
    _note_lines(node, (), (), file, lines)
    return yaml.SafeLoader("").construct_document(node), lines


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
        raise ConfigError(faults_of(model, error, file=file, lines=lines)) from None


def faults_of(model: type[BaseModel], error: ValidationError, *, file: str, lines: Lines) -> list[Fault]:
    """Say what does not fit a model, each at its line; of an unknown key also the nearest known one."""
    faults = [_to_fault(model, file, item, lines) for item in error.errors()]
    # A value that fits neither of two types gives an error for each: the first says it.
    return [*{(fault.line, fault.column): fault for fault in reversed(faults)}.values()]


def read_json_text(path: Path, error: type[FaultsError], *, absent: str = "there is no such file") -> tuple[Any, str]:
    """Return the data of a JSON file and its text. Raises `error` with the line of what cannot be read."""
    file = str(path)
    try:
        text = decode_text(path.read_bytes())
        return json.loads(text), text
    except FileNotFoundError:
        fault = Fault(file=file, expected=absent)
    except OSError as cause:
        fault = Fault(file=file, expected=f"cannot be read: {cause.strerror}")
    except NotTextError as cause:
        fault = cause.fault(file)
    except json.JSONDecodeError as cause:
        fault = Fault(file=file, line=cause.lineno, expected=f"is not JSON: {cause.msg}")
    except (ValueError, RecursionError) as cause:
        fault = Fault(file=file, expected=f"is not JSON: {cause}")
    raise error([fault])


def lines_of(text: str) -> Lines:
    """Find the lines of a text that is known to be JSON (which is YAML, too); {} where YAML does not take it."""
    lines = Lines()
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _note_lines(node, (), (), "", lines)
    except (yaml.YAMLError, ConfigError, RecursionError):
        return Lines()
    return lines


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
        fields = model.model_fields if model is not None and not is_key else {}
        field = fields.get(str(part)) or next((each for each in fields.values() if part in _old_names(each)), None)
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


def _note_lines(
    node: yaml.Node,
    where: tuple[str | int, ...],
    parents: tuple[yaml.Node, ...],
    file: str,
    lines: Lines,
) -> None:
    """Fill `lines`, make text of keys, and find what YAML allows but no config can hold."""

    def refuse(item: yaml.Node, expected: str) -> None:
        found = item.value if isinstance(item, yaml.ScalarNode) else None
        raise ConfigError([Fault(file=file, line=item.start_mark.line + 1, found=found, expected=expected)]) from None

    if node in parents:
        refuse(node, "this value holds itself (a YAML alias)")
    if node.tag not in yaml.SafeLoader.yaml_constructors:
        refuse(node, f"the tag {node.tag} has no place in a config")
    if isinstance(node, yaml.ScalarNode):
        try:
            yaml.SafeLoader("").construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            refuse(node, f"YAML takes this for a date or number, and it is none ({error}); put it in quotes")
        if node.tag not in _WORDS:
            lines.texts[where] = node.value
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            refuse(key, "a key in words is needed; YAML takes this one for something else")
        key.tag = "tag:yaml.org,2002:str"
        lines[(*where, key.value)] = key.start_mark.line + 1
        _note_lines(value, (*where, key.value), (*parents, node), file, lines)
    for position, value in enumerate(node.value if isinstance(node, yaml.SequenceNode) else ()):
        lines[(*where, position)] = value.start_mark.line + 1
        _note_lines(value, (*where, position), (*parents, node), file, lines)
