from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict

from generator.foundation.errors import ConfigError
from generator.foundation.typed_yaml import fill_model, read_yaml


class Wheel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int | Literal["large"]


class Car(BaseModel):
    model_config = ConfigDict(extra="forbid")

    wheels: tuple[Wheel, ...]
    spare: Wheel | None = None


Model = TypeVar("Model", bound=BaseModel)


def fill(folder: Path, kind: type[Model], text: str) -> Model:
    path = folder / "car.yaml"
    path.write_text(text)
    data, lines = read_yaml(path)
    return fill_model(kind, data, file="car.yaml", lines=lines)


def test_a_model_of_lists(tmp_path: Path) -> None:
    car = fill(tmp_path, Car, "wheels:\n  - size: 3\n  - {size: large}\nspare: {size: 4}\n")
    assert [wheel.size for wheel in car.wheels] == [3, "large"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wheels:\n  - size: 3\n  - sise: 4\n", "car.yaml:3: column 'wheels.1.sise': unknown key; did you mean"),
        ("wheels: []\nspare:\n  siz: 1\n", "car.yaml:3: column 'spare.siz': unknown key; did you mean 'size'?"),
        ("wheels:\n  - size: huge\n", "car.yaml:2: column 'wheels.0.size': found 'huge'; Input should be a valid int"),
        ("spare: {size: 1}\n", "column 'wheels': this key is missing"),
    ],
)
def test_a_fault_in_a_list_or_a_union(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fill(tmp_path, Car, text)
    assert message in str(caught.value)


class Names(BaseModel):
    model_config = ConfigDict(extra="forbid")

    names: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    first: str | None = None
    flag: bool = False


def test_words_stay_as_they_were_written(tmp_path: Path) -> None:
    text = (
        "names: [yes, no, on, 1, 1.0, 0x1F, 2024-01-01, ~x, 'null', \"true\"]\n"
        "rename:\n  no: off\n  1: 2024-01-01\n  null: cat\n"
        "first: null\nflag: yes\n"
    )
    model = fill(tmp_path, Names, text)
    assert model.names == ("yes", "no", "on", "1", "1.0", "0x1F", "2024-01-01", "~x", "null", "true")
    assert model.rename == {"no": "off", "1": "2024-01-01", "null": "cat"}
    assert (model.first, model.flag) == (None, True)


def test_what_is_wrong_beside_such_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        fill(tmp_path, Names, "names: [yes, null]\nflag: [1]\nno: 3\n")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(1, "names.1"), (2, "flag"), (3, "no")]
