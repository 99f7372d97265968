"""YAML with the line of every key, so that a fault in a value can name its place, and the words that were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from generator.foundation.errors import ConfigError, Fault, FaultsError
from generator.foundation.text import NotTextError, decode_text

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


def read_json(path: Path, error_type: type[FaultsError], *, absent: str = "there is no such file") -> tuple[Any, str]:
    """Return the data of a JSON file and its text. Raises `error_type` with the line of what cannot be read."""
    file = str(path)
    try:
        text = decode_text(path.read_bytes())
        return json.loads(text), text
    except FileNotFoundError:
        fault = Fault(file=file, expected=absent)
    except OSError as error:
        fault = Fault(file=file, expected=f"cannot be read: {error.strerror}")
    except NotTextError as error:
        fault = error.fault(file)
    except json.JSONDecodeError as error:
        fault = Fault(file=file, line=error.lineno, expected=f"is not JSON: {error.msg}")
    except (ValueError, RecursionError) as error:
        fault = Fault(file=file, expected=f"is not JSON: {error}")
    raise error_type([fault])


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
