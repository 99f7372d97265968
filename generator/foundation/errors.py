"""The errors that boxpaint raises for a user's mistake or a machine's limit.

BoxpaintError              everything below; the command line prints it and exits with code 2
├── FaultsError            a file that a person wrote is wrong: every fault at once
│   ├── SpecError          background.csv, classes.csv, attributes.csv or calibration.json
│   ├── ConfigError        the YAML config, or a bundle's card
│   ├── PromptsError       a prompt book (captions.json, enriched.json)
│   └── DatasetError       a data set on disk breaks its format
├── DomainError            the CSV files ask for what the bundle's models never learned
├── LeakError              a probe finds where the pictures were painted
├── RunMismatchError       the run folder belongs to another spec, config or seed
├── StorageError           a folder is missing, read-only or full
└── ModelError             a model cannot be found, loaded or trusted
    └── ModelNotFoundError the files are not there; says which setting to change
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# What the command line ends with when it did not do what was asked.
USER_ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in one place of a file that a person wrote.

    `line` counts from 1 as an editor does; None where the fault is about the whole file.
    """

    file: str
    expected: str
    line: int | None = None
    column: str | None = None
    found: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        column = f" column '{self.column}':" if self.column else ""
        found = f" found {self.found!r};" if self.found is not None else ""
        return f"{place}:{column}{found} {self.expected}"


def reason_of(error: BaseException) -> str:
    """The first line of what an error says, or its kind where it says nothing.

    >>> reason_of(ValueError("torn")), reason_of(EOFError())
    ('torn', 'EOFError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class BoxpaintError(Exception):
    """Base of every error that is not a bug of boxpaint."""


class FaultsError(BoxpaintError):
    """A file is wrong; `faults` lists every place at once, in the order of the lines."""

    def __init__(self, faults: Iterable[Fault]):
        self.faults: tuple[Fault, ...] = tuple(
            sorted(faults, key=lambda fault: (fault.file, fault.line or 0, fault.column or ""))
        )
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[FaultsError], tuple[tuple[Fault, ...]]]:
        """Pickle it by its faults, not by its text: workers send errors to their parents."""
        return type(self), (self.faults,)


class SpecError(FaultsError):
    """background.csv, classes.csv, attributes.csv or calibration.json cannot be used as it stands."""


class ConfigError(FaultsError):
    """The config, or a bundle's card, cannot be used as it stands."""


class PromptsError(FaultsError):
    """A prompt book cannot be used as it stands."""


class DatasetError(FaultsError):
    """A data set on disk breaks its format."""


class DomainError(BoxpaintError):
    """The CSV files ask for what the bundle's models never learned; `rows` names file, line and words."""

    def __init__(self, message: str, rows: Iterable[str], advice: str):
        self.rows: tuple[str, ...] = tuple(rows)
        super().__init__("\n".join([message, *(f"  {row}" for row in self.rows), advice]))


class LeakError(BoxpaintError):
    """A trained probe tells painted from untouched places better than the config allows."""


class RunMismatchError(BoxpaintError):
    """The run folder was started with another spec, config or seed; `differences` names them."""

    def __init__(self, message: str, differences: Iterable[str] = ()):
        self.differences: tuple[str, ...] = tuple(differences)
        super().__init__("\n".join([message, *(f"  {line}" for line in self.differences)]))


class StorageError(BoxpaintError):
    """A folder or file cannot be read or written."""


class ModelError(BoxpaintError):
    """A model cannot be loaded, or what it paints cannot be used."""


class ModelNotFoundError(ModelError):
    """A model's files are neither on this machine nor to be had from the hub."""
