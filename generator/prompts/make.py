"""Making the prompt book: captions of reference photos, GPT-2, attributes; judged, and the same for the same seed.

For each row three sources take turns, its captions, its attributes and GPT-2, until enough texts are kept:

    own prompt -> kept
    candidate  -> cleaned -> rules on words -> off-topic? -> near-duplicate? -> kept

A finished row is kept at once (generator/prompts/cache.py), so that a stopped book goes on with the next one.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from generator.config import Config, PromptsConfig
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import sha256_of
from generator.prompts.book import (
    BookRow,
    Captions,
    Enriched,
    PromptBook,
    RowKey,
    Text,
    background_key,
    class_key,
    key_position,
)
from generator.prompts.cache import MadeRow, keep_row, read_row
from generator.prompts.rules import Limits, Rules, blocked_words, clean, rules_for_background, rules_for_class
from generator.prompts.sources import PromptModels, attributes_for, caption_references, compose
from generator.spec import Spec

# Position of the book below the run's seed, beside the plan's (generator/plan).
BOOK = 2**32 - 2
_ATTRIBUTES, _LINES, _CONTEXT = 0, 1, 2
# Lines written in the first batch of a row, and in its largest: a batch takes as long as its longest line, whatever its
# size, but a row that is soon full needs few lines. And lines that stand before them: more steer better and cost more.
FIRST_BATCH, LARGEST_BATCH, CONTEXT_LINES = 32, 128, 4
DECIMALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """One row to find texts for: its key, its rules, the captions of its photos."""

    key: RowKey
    rules: Rules
    captions: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        return self.key[2]

    @property
    def category(self) -> str:
        return self.key[1]

    @property
    def seed_position(self) -> int:
        return key_position(self.key)


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
        captions = caption_references(spec, config, models, on_warning)
    else:
        models.used["captioner"] = captions.model
    wishes = {key: _Wish(key=key, rules=rules) for key, rules in rules_of(spec, config).items()}
    for row in captions.rows if captions else ():
        if row.key not in wishes:
            continue
        # The commonest first: what is said once may be a slip of the captioner.
        texts = Counter(text for item in row.captions if (text := clean(item.text)))
        wishes[row.key] = replace(wishes[row.key], captions=tuple(text for text, _ in texts.most_common()))
    rows: list[BookRow] = []
    used = dict(models.used)
    for number, wish in enumerate(wishes.values(), start=1):

        def on_text(kept: int, tried: int, prompt: str = wish.prompt, number: int = number) -> None:
            on_progress(RowProgress(prompt=prompt, number=number, rows=len(wishes), kept=kept, tried=tried))

        made = _make_row(wish, spec, config, models, on_text)
        used.update(made.models)
        rows.append(made.row)
        on_row(made.row)
    parameters = config.prompts.model_dump(mode="json")
    enriched = Enriched(schema_version=1, models=used, seed=config.seed, parameters=parameters, rows=tuple(rows))
    return PromptBook(enriched=enriched, captions=captions)


def rules_of(spec: Spec, config: Config) -> dict[RowKey, Rules]:
    """Rules for the texts of every row."""
    limits = Limits(
        max_words=config.prompts.max_words,
        blocked=blocked_words() if config.prompts.block_words else (),
        unknown_words=config.card.unknown_words,
    )
    rules: dict[RowKey, Rules] = {}
    for background in spec.backgrounds:
        rules[background_key(background)] = rules_for_background(background, spec, limits)
    for row in spec.classes:
        rules[class_key(row)] = rules_for_class(row, spec, limits)
    return rules


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


def _make_row(
    wish: _Wish, spec: Spec, config: Config, models: PromptModels, on_text: Callable[[int, int], None]
) -> MadeRow:
    """Take a row that was made before, or make it and keep it."""
    on_text(1, 1)
    if made := read_row(_identity(wish, spec, config, models)):
        return made
    models.used = {}
    texts = tuple(_find_texts(wish, spec, config, models, on_text))
    row = BookRow(table=wish.key[0], name=wish.category, prompt=wish.prompt, texts=texts)
    made = MadeRow(row=row, models=models.used)
    if made.models:  # without a model it is made at once
        keep_row(_identity(wish, spec, config, models), made)
    return made


def _identity(wish: _Wish, spec: Spec, config: Config, models: PromptModels) -> dict[str, object]:
    """All that decides the texts of a row, the code included."""
    roles = [role for role in ("enricher", "embedder") if getattr(config.models, role) is not None]
    return {
        "key": wish.key,
        "phrases": [wish.rules.own, wish.rules.others],
        "captions": wish.captions,
        "attributes": attributes_for(spec.attributes, wish.category),
        "vocabulary": sorted(config.card.vocabulary or ()),
        "seed": config.seed,
        "parameters": config.prompts.model_dump(mode="json"),
        "models": {role: models.fingerprint(role) for role in roles},
        "device": config.device,
        "code": _code(),
    }


@functools.cache
def _code() -> dict[str, str]:
    """Versions of the libraries that compute, and a hash for each file of this package, lists of words included."""
    versions = {name: version(name) for name in ("torch", "transformers", "sentence-transformers")}
    files = (path for path in Path(__file__).parent.iterdir() if path.suffix in (".py", ".txt"))
    return {**versions, **{path.name: sha256_of(path) for path in files}}


def _find_texts(
    wish: _Wish, spec: Spec, config: Config, models: PromptModels, on_text: Callable[[int, int], None]
) -> list[Text]:
    """Try texts until enough are kept or every source is spent; the row's own prompt is always the first."""
    settings = config.prompts
    texts = [Text(text=wish.prompt, source="prompt")]
    candidates = _take_turns(_sources(wish, spec, config, models))
    vectors: list[np.ndarray] = []
    tried = {wish.prompt.lower()}
    kept, idle = 1, 0
    while kept < settings.variants and idle < settings.patience:
        source, raw = next(candidates, ("", ""))
        if not source:
            break
        idle += 1
        on_text(kept, len(texts))
        text = clean(raw)
        if text.lower() in tried:
            continue
        tried.add(text.lower())
        fault = wish.rules.fault_of(text)
        if fault:
            if any(map(str.isalpha, text)):
                texts.append(Text(text=text, source=source, rejected=fault))
            continue
        if not vectors:
            vectors.append(models.embedder.embed_texts([wish.prompt])[0])
        vector = models.embedder.embed_texts([text])[0]
        judged = _judge(text, source, vector, vectors, settings)
        texts.append(judged)
        if not judged.rejected:
            vectors.append(vector)
            kept, idle = kept + 1, 0
    return texts


def _judge(text: str, source: str, vector: np.ndarray, kept: list[np.ndarray], settings: PromptsConfig) -> Text:
    products = [round(float(vector @ other), DECIMALS) for other in kept]
    similarity, nearest = products[0], max(products)
    rejected = ""
    if similarity < settings.min_similarity:
        rejected = f"off-topic: {similarity} to the row's own prompt, below {settings.min_similarity:g}"
    elif nearest > settings.max_similarity:
        rejected = f"near-duplicate: {nearest} to a text that is kept, above {settings.max_similarity:g}"
    return Text(text=text, source=source, similarity=similarity, nearest=nearest, rejected=rejected)


def _sources(wish: _Wish, spec: Spec, config: Config, models: PromptModels) -> dict[str, Iterator[str]]:
    rng = derive_rng(config.seed, BOOK, wish.seed_position, _ATTRIBUTES)
    sources = {
        "caption": iter(wish.captions),
        "attributes": compose(wish.prompt, attributes_for(spec.attributes, wish.category), rng),
    }
    if config.prompts.enrich == "gpt2":
        sources["gpt2"] = _written(wish, config, models)
    return sources


def _written(wish: _Wish, config: Config, models: PromptModels) -> Iterator[str]:
    """Yield endless lines of GPT-2: half go on from a seed text, half begin afresh below some of them."""
    from generator.prompts.models import Sampling

    settings = config.prompts
    sampling = Sampling(
        temperature=settings.temperature,
        top_p=settings.top_p,
        repetition_penalty=settings.repetition_penalty,
        max_words=settings.max_words,
    )
    number = 0
    while True:
        rng = derive_rng(config.seed, BOOK, wish.seed_position, _CONTEXT, number)
        others = [wish.captions[int(i)] for i in rng.permutation(len(wish.captions))[: CONTEXT_LINES - 1]]
        lines = [*others, wish.prompt]
        size = min(FIRST_BATCH * 2**number, LARGEST_BATCH)
        openings = [str(lines[int(rng.integers(len(lines)))]) if place % 2 else "" for place in range(size)]
        seed = derive_seed(config.seed, BOOK, wish.seed_position, _LINES, number)
        yield from models.enricher.write(lines, openings, sampling, seed=seed)
        number += 1


def _take_turns(sources: dict[str, Iterator[str]]) -> Iterator[tuple[str, str]]:
    """Yield (source, text) from each source in turn, until all are spent."""
    waiting = list(sources.items())
    while waiting:
        for item in list(waiting):
            text = next(item[1], None)
            if text is None:
                waiting.remove(item)
            else:
                yield item[0], text
