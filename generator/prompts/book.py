"""The prompt book on disk and in memory: which texts a row of the CSV files may be painted from.

Two JSON files that a person may read and edit: `captions.json` (what the captioner saw in the reference photos) and
`enriched.json` (every text that was tried, where it came from, its scores, and why it was rejected: "" means it is
used). Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticSerializationError

from generator.foundation.errors import Fault, PromptsError, StorageError
from generator.foundation.storage import make_folder, translate_os_errors, write_bytes
from generator.foundation.typed_yaml import faults_of, lines_of, read_json_text
from generator.spec import RowKey, Spec

CAPTIONS_FILE, ENRICHED_FILE = "captions.json", "enriched.json"

Page = TypeVar("Page", bound="_Page")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Page(_Part):
    schema_version: Literal[1]


class _Row(_Part):
    """What belongs to one row of a CSV file. `name` is the category's, "" for a background."""

    table: Literal["background", "classes"]
    name: str = ""
    prompt: str

    @property
    def key(self) -> RowKey:
        """What the row is found by."""
        return (self.table, self.name, self.prompt)


class Caption(_Part):
    """What the captioner said of one reference picture; `sha256` is over its file and box."""

    picture: str
    sha256: str
    text: str


class Skipped(_Part):
    """A reference picture that could not be read."""

    picture: str
    reason: str


class CaptionRow(_Row):
    """The captions of one row."""

    references: str
    captions: tuple[Caption, ...]
    skipped: tuple[Skipped, ...] = ()


class Captions(_Page):
    """captions.json: model (its fingerprint), parameters, and one entry for each row with references."""

    model: str
    parameters: dict[str, Any]
    rows: tuple[CaptionRow, ...]


class Text(_Part):
    """One text that was tried. `similarity` is to the row's own prompt, `nearest` to the texts kept before it."""

    text: str = Field(min_length=1)
    source: str = "edited"
    similarity: float | None = None
    nearest: float | None = None
    rejected: str = ""

    @field_validator("text")
    @classmethod
    def _has_words(cls, text: str) -> str:
        if not any(letter.isalpha() for letter in text):
            raise ValueError("a text in words is needed")
        return " ".join(text.split())


class BookRow(_Row):
    """The texts of one row."""

    texts: tuple[Text, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Texts to paint from, each once, in order."""
        return tuple(dict.fromkeys(item.text for item in self.texts if not item.rejected))

    def rejections(self) -> dict[str, int]:
        """Count the rejected texts by the first words of the reason."""
        return dict(Counter(item.rejected.split(":", 1)[0] for item in self.texts if item.rejected).most_common())


class Enriched(_Page):
    """enriched.json: models (fingerprints), seed, parameters, and an entry for each background and class."""

    models: dict[str, str]
    seed: int
    parameters: dict[str, Any]
    rows: tuple[BookRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBook:
    """What the plan draws from."""

    enriched: Enriched
    captions: Captions | None = None

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over the texts in use: what of the book decides pictures."""
        content = [[*row.key, *row.kept] for row in self.enriched.rows]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def texts(self) -> dict[RowKey, tuple[str, ...]]:
        """Texts to paint from, by row."""
        return {row.key: row.kept for row in self.enriched.rows}

    def files(self) -> dict[str, bytes]:
        """Name -> bytes of the files that hold the book."""
        pages = {ENRICHED_FILE: self.enriched, CAPTIONS_FILE: self.captions}
        return {
            name: (page.model_dump_json(indent=1) + "\n").encode() for name, page in pages.items() if page is not None
        }


def key_position(key: RowKey) -> int:
    """Where the random numbers of a row come from: its words, so that another row changes nothing for it."""
    return int.from_bytes(hashlib.sha256("\0".join(key).encode()).digest()[:4])


def read_book(path: Path, spec: Spec | None = None) -> PromptBook:
    """Read enriched.json (or the folder that holds it) and captions.json beside it, as written or edited.

    With a spec, every row of it must be there; rows of other specs do not matter. Raises PromptsError with file, line
    and place of every fault.
    """
    path = path / ENRICHED_FILE if path.is_dir() else path
    enriched = _read_page(path, Enriched)
    beside = path.with_name(CAPTIONS_FILE)
    captions = _read_page(beside, Captions) if beside.is_file() else None
    counts = Counter(row.key for row in enriched.rows)
    kept = {row.key: row.kept for row in enriched.rows}
    faults = []
    for key in dict.fromkeys(row.key for row in (spec or enriched).rows):
        if not counts[key]:
            wrong = "this row of the CSV file has no texts in the book; make it again (boxpaint prompts) or add it"
        elif counts[key] > 1:
            wrong = "this row stands in the book twice; leave one"
        elif not kept[key]:
            wrong = "no text of this row is left to paint from"
        else:
            continue
        table, name, prompt = key
        found = f"{name}: {prompt}" if name else prompt
        faults.append(Fault(file=str(path), column=table, found=found, expected=wrong))
    if faults:
        raise PromptsError(faults)
    return PromptBook(enriched=enriched, captions=captions)


def read_captions(path: Path) -> Captions:
    """Read captions.json (or the folder that holds it), as written or edited. Raises PromptsError."""
    return _read_page(path / CAPTIONS_FILE if path.is_dir() else path, Captions)


def check_rows_of_book(folder: Path, spec: Spec) -> None:
    """Raise StorageError where a folder holds a book of other rows, which `write_book` would not replace."""
    path = folder / ENRICHED_FILE
    if path.is_file() and {row.key for row in _read_page(path, Enriched).rows} != {row.key for row in spec.rows}:
        raise StorageError(
            f"{path} is the book of other rows (the CSV files were changed since?), and stays; use --overwrite "
            "to replace it, with what was edited in it, or another --out"
        )


def write_book(book: PromptBook, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the book's files into a folder and return their paths.

    Raises StorageError rather than replace, or leave as the captions of another book, a file that holds something
    else: somebody may have edited it.
    """
    files = book.files()
    make_folder(folder)
    for name in (ENRICHED_FILE, CAPTIONS_FILE):
        path = folder / name
        with translate_os_errors(path):
            differs = path.exists() and path.read_bytes() != files.get(name)
        if differs and not overwrite:
            raise StorageError(
                f"{path} holds another book, perhaps an edited one, and stays as it is; use another --out, --overwrite "
                f"to replace it, or --prompts {folder} to show it"
            )
    for name, data in files.items():
        write_bytes(folder / name, data)
    if CAPTIONS_FILE not in files:
        with translate_os_errors(folder / CAPTIONS_FILE):
            (folder / CAPTIONS_FILE).unlink(missing_ok=True)
    return [folder / name for name in files]


def _read_page(path: Path, kind: type[Page]) -> Page:
    file = str(path)
    data, text = read_json_text(path, PromptsError, absent="there is no such file; boxpaint prompts makes it")
    try:
        page = kind.model_validate(data)
        page.model_dump_json()
    except ValidationError as error:
        faults = faults_of(kind, error, file=file, lines=lines_of(text))
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > 1:
            wrong = "a newer boxpaint wrote this; this one reads version 1"
            faults = [replace(fault, expected=wrong) for fault in faults if fault.column == "schema_version"]
        elif isinstance(data, dict) and kind is Enriched and "model" in data and "models" not in data:
            wrong = f"this is {CAPTIONS_FILE}; give {ENRICHED_FILE}, or make one from it: boxpaint prompts --captions"
            faults = [Fault(file=file, expected=f"{wrong} {file}")]
        raise PromptsError(faults) from None
    except PydanticSerializationError as error:  # half a surrogate pair, lists in lists in lists
        raise PromptsError([Fault(file=file, expected=f"could not be written again: {error}")]) from None
    return page
