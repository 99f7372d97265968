"""Making the prompt book: captions of reference photos, GPT-2, attributes; judged, and the same for the same seed.

For each row three sources take turns, its captions, its attributes and GPT-2, until enough texts are kept:

    own prompt -> kept
    candidate  -> cleaned -> rules on words -> off-topic? -> near-duplicate? -> kept

A finished row is kept in the user's cache folder at once, so that a stopped book goes on with the next one.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from generator.config import Config
from generator.foundation.storage import sha256_of
from generator.prompts.book import BookRow, Captions, Enriched, PromptBook, Text
from generator.prompts.rules import Rules, clean, rules_of
from generator.prompts.sources import Cache, PromptModels, attributes_for, candidates, caption_references
from generator.spec import RowKey, Spec

DECIMALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProgress:
    """How far the search for a row's texts has come; `number` counts the rows of the book from 1."""

    prompt: str
    number: int
    rows: int
    kept: int
    tried: int


def make_book(
    spec: Spec,
    config: Config,
    *,
    captions: Captions | None = None,
    on_row: Callable[[BookRow], None] = lambda _: None,
    on_progress: Callable[[RowProgress], None] = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> PromptBook:
    """Make the book of a spec: the same bytes for the same spec, config, seed and photos on one kind of machine.

    `captions` of reference photos, as made or edited, are taken instead of captioning the photos. `on_row` hears of
    every row that is done, `on_progress` of every text that is tried. A row that was finished before, by the same
    words, settings, models and code, is not made again. Raises ConfigError when the bundle lacks a model that is
    needed, ModelError when one cannot be loaded, SpecError when no reference photo of a class can be read.
    """
    models = PromptModels(config)
    if captions is None:
        captions = caption_references(spec, models, on_warning)
    else:
        models.used["captioner"] = captions.model
    used = dict(models.used)
    # The commonest first: what is said once may be a slip of the captioner.
    said = {
        row.key: Counter(text for item in row.captions if (text := clean(item.text))).most_common()
        for row in (captions.rows if captions else ())
    }
    rules = rules_of(spec, config)
    rows: list[BookRow] = []
    for number, key in enumerate(rules, start=1):
        search = _Search(
            key=key,
            rules=rules[key],
            captions=tuple(text for text, _ in said.get(key, ())),
            attributes=attributes_for(spec.attributes, key[1]),
            models=models,
        )

        def on_text(kept: int, tried: int, prompt: str = key[2], number: int = number) -> None:
            on_progress(RowProgress(prompt=prompt, number=number, rows=len(rules), kept=kept, tried=tried))

        made = search.run(on_text)
        used.update(made.models)
        rows.append(made.row)
        on_row(made.row)
    parameters = config.prompts.model_dump(mode="json")
    enriched = Enriched(schema_version=1, models=used, seed=config.seed, parameters=parameters, rows=tuple(rows))
    return PromptBook(enriched=enriched, captions=captions)


def complaints(book: PromptBook, spec: Spec, config: Config) -> list[str]:
    """Say which texts in use break the rules: a person may have good reasons for them, or have slipped."""
    rules = rules_of(spec, config)
    return [
        f"{row.name or 'scene'}: {text!r}: {fault}"
        for row in book.enriched.rows
        if row.key in rules
        for text in row.kept
        if text != row.prompt and (fault := rules[row.key].fault_of(text))
    ]


class _MadeRow(BaseModel):
    """A finished row of the prompt book, and the models (role -> fingerprint) that wrote and judged its texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: BookRow
    models: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """The search for the texts of one row: what they must hold, and what they are made of."""

    key: RowKey
    rules: Rules
    captions: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    models: PromptModels

    def run(self, on_text: Callable[[int, int], None]) -> _MadeRow:
        """Take a row that was made before, or make it and keep it."""
        on_text(1, 1)
        try:
            return _MadeRow.model_validate(Cache("rows", self._identity()).read())
        except ValidationError:
            pass  # nothing was kept, or it is damaged
        self.models.used = {}
        table, name, prompt = self.key
        row = BookRow(table=table, name=name, prompt=prompt, texts=tuple(self._find_texts(on_text)))
        made = _MadeRow(row=row, models=self.models.used)
        if made.models:  # without a model it is made at once
            Cache("rows", self._identity()).keep(made.model_dump(mode="json"))
        return made

    def _identity(self) -> dict[str, object]:
        """All that decides the texts of a row, the code included."""
        config = self.models.config
        roles = [role for role in ("enricher", "embedder") if getattr(config.models, role) is not None]
        return {
            "key": self.key,
            "phrases": [self.rules.own, self.rules.others],
            "captions": self.captions,
            "attributes": self.attributes,
            "vocabulary": sorted(config.card.vocabulary or ()),
            "seed": config.seed,
            "parameters": config.prompts.model_dump(mode="json"),
            "models": {role: self.models.fingerprint(role) for role in roles},
            "device": config.device,
            "code": _code(),
        }

    def _find_texts(self, on_text: Callable[[int, int], None]) -> list[Text]:
        """Try texts until enough are kept or every source is spent; the row's own prompt is always the first."""
        settings, prompt = self.models.config.prompts, self.key[2]
        texts = [Text(text=prompt, source="prompt")]
        sources = candidates(self.key, self.captions, self.attributes, self.models)
        vectors: list[np.ndarray] = []
        tried = {prompt.lower()}
        kept, idle = 1, 0
        while kept < settings.variants and idle < settings.patience:
            source, raw = next(sources, ("", ""))
            if not source:
                break
            idle += 1
            on_text(kept, len(texts))
            text = clean(raw)
            if text.lower() in tried:
                continue
            tried.add(text.lower())
            if fault := self.rules.fault_of(text):
                if any(map(str.isalpha, text)):
                    texts.append(Text(text=text, source=source, rejected=fault))
                continue
            embed = self.models.embedder.embed_texts
            vectors = vectors or [embed([prompt])[0]]
            vector = embed([text])[0]
            products = [round(float(vector @ other), DECIMALS) for other in vectors]
            similarity, nearest = products[0], max(products)
            rejected = ""
            if similarity < settings.min_similarity:
                rejected = f"off-topic: {similarity} to the row's own prompt, below {settings.min_similarity:g}"
            elif nearest > settings.max_similarity:
                rejected = f"near-duplicate: {nearest} to a text that is kept, above {settings.max_similarity:g}"
            else:
                vectors.append(vector)
                kept, idle = kept + 1, 0
            texts.append(Text(text=text, source=source, similarity=similarity, nearest=nearest, rejected=rejected))
        return texts


@functools.cache
def _code() -> dict[str, str]:
    """Versions of the libraries that compute, and a hash for each file of this package, lists of words included."""
    versions = {name: version(name) for name in ("torch", "transformers", "sentence-transformers")}
    files = (path for path in Path(__file__).parent.iterdir() if path.suffix in (".py", ".txt"))
    return {**versions, **{path.name: sha256_of(path) for path in files}}
