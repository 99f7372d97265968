"""Where the texts of the prompt book come from: captions of reference photos, attributes, lines of GPT-2.

What was made before is kept in the user's cache folder; deleting it costs time only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import platformdirs

from generator.bundles import ModelRef
from generator.config import Config
from generator.foundation.errors import Fault, ModelNotFoundError, SpecError, StorageError
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import make_folder, write_json
from generator.models.weights import WITHOUT, fingerprint, prompt_model
from generator.prompts.book import Caption, CaptionRow, Captions, Skipped, key_position
from generator.spec import BACKGROUNDS, EVERYTHING, OBJECTS, AttributeSpec, BackgroundSpec, ClassSpec, RowKey, Spec
from generator.spec.references import content_hash, find_references, open_reference, reference_fault, sample

if TYPE_CHECKING:
    import torch

    from generator.prompts.models import Captioner, Embedder, Enricher

Model = TypeVar("Model")

# Position of the book below the run's seed, beside the plan's (generator/plan).
BOOK = 2**32 - 2
_ATTRIBUTES, _LINES, _CONTEXT = 0, 1, 2
# Pictures decoded at a time: a folder of large photos does not fit into memory.
GROUP = 32
# How captions are written: part of the cache's name, so that another setting is another cache.
CAPTION_SETTINGS = {"num_beams": 3, "max_new_tokens": 30}
# An attribute is left out at times, so that no text needs to say everything; and draws without a new text before all
# are taken to have come up.
USE_SHARE, PATIENCE = 0.75, 100
# Lines written in the first batch of a row, and in its largest: a batch takes as long as its longest line, whatever its
# size, but a row that is soon full needs few lines. And lines that stand before them: more steer better and cost more.
FIRST_BATCH, LARGEST_BATCH, CONTEXT_LINES = 32, 128, 4


class PromptModels:
    """Captioner, enricher and embedder of a config, each loaded when it is first needed.

    Raises ConfigError for a model that the config does not have, ModelError for one that cannot be loaded.
    """

    def __init__(self, config: Config):
        self.config = config
        self.used: dict[str, str] = {}
        """Role -> fingerprint of the models that wrote or judged texts, in the order of their first use."""
        self._loaded: dict[str, Any] = {}
        self._hashes: dict[str, str] = {}

    @property
    def captioner(self) -> Captioner:
        """BLIP."""
        from generator.prompts.models import Captioner

        return self._use("captioner", Captioner)

    @property
    def enricher(self) -> Enricher:
        """GPT-2."""
        from generator.prompts.models import Enricher

        return self._use("enricher", Enricher)

    @property
    def embedder(self) -> Embedder:
        """What says how near two texts are."""
        from generator.prompts.models import load_embedder

        return self._use("embedder", load_embedder)

    def ref(self, role: str) -> ModelRef:
        """Where the model of a role comes from."""
        return prompt_model(self.config, role)

    def fingerprint(self, role: str) -> str:
        """What identifies the weights of a role; of a hub model that was never here only once it is loaded."""
        ref = self.ref(role)
        if ref.folder is None or role not in self._hashes:
            self._hashes[role] = fingerprint(ref)
        return self._hashes[role]

    def _use(self, role: str, load: Callable[..., Model]) -> Model:
        if role not in self._loaded:
            ref = self.ref(role)
            try:
                self._loaded[role] = load(ref, device=self._device, offline=self.config.offline)
            except ModelNotFoundError as error:
                raise ModelNotFoundError(f"{error}; to do without, {WITHOUT[role]}") from error
        if role not in self.used:
            self.used[role] = self.fingerprint(role)
        model: Model = self._loaded[role]
        return model

    @cached_property
    def _device(self) -> torch.device:
        from generator.foundation.device import choose_device

        return choose_device(self.config.device)


class Cache:
    """A JSON file in the user's cache folder, named by all that decides its content."""

    def __init__(self, kind: str, identity: Mapping[str, object]):
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self.path = Path(platformdirs.user_cache_dir("boxpaint")) / kind / f"{digest}.json"

    def read(self) -> Any:
        """What was kept; None where there is nothing, or it is damaged."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def keep(self, content: Any) -> None:
        """Write it; where the cache cannot be written it is made again next time."""
        with contextlib.suppress(StorageError):
            make_folder(self.path.parent)
            write_json(self.path, content)


def caption_references(spec: Spec, models: PromptModels, on_warning: Callable[[str], None]) -> Captions | None:
    """Caption the reference photos of every row, those of equal content once; None when no row has any.

    A picture that cannot be read is skipped, with a line to `on_warning`. Raises SpecError when a row has references
    and none of them can be read.
    """
    rows = {row.key: row for row in spec.rows if row.references}
    if not rows:
        return None
    settings = models.config.prompts
    if models.ref("captioner").folder is None:
        # Of a hub model only the loading tells the commit, which the cache and captions.json go by.
        _ = models.captioner
    captioner = models.used["captioner"] = models.fingerprint("captioner")
    cache = Cache("captions", {"captioner": captioner, "prefix": settings.caption_prefix, **CAPTION_SETTINGS})
    kept = cache.read()
    known = {key: text for key, text in kept.items() if isinstance(text, str)} if isinstance(kept, dict) else {}

    def caption(unknown: dict[str, np.ndarray]) -> None:
        said = models.captioner.caption(list(unknown.values()), prefix=settings.caption_prefix)
        known.update(zip(unknown, said, strict=True))
        cache.keep(known)

    return Captions(
        schema_version=1,
        model=captioner,
        parameters={"prefix": settings.caption_prefix, "max_references": settings.max_references},
        rows=tuple(
            _caption_row(row, Path(spec.folder), settings.max_references, known, caption, on_warning)
            for row in rows.values()
        ),
    )


def _caption_row(
    row: BackgroundSpec | ClassSpec,
    folder: Path,
    most: int,
    known: Mapping[str, str],
    caption: Callable[[dict[str, np.ndarray]], None],
    on_warning: Callable[[str], None],
) -> CaptionRow:
    """Caption one row's photos; `known` (content -> caption) grows by what `caption` is given."""
    table, name, prompt = row.key
    if fault := reference_fault(table, row.line, row.references, folder):
        raise SpecError([fault])
    captions: list[Caption] = []
    skipped: list[Skipped] = []
    references = sample(find_references(row.references, folder), most)
    for start in range(0, len(references), GROUP):
        digests: list[tuple[str, str]] = []  # two folders may hold a 1.jpg each
        unknown: dict[str, np.ndarray] = {}
        for reference in references[start : start + GROUP]:
            try:
                digest = content_hash(reference)
                if digest not in known:
                    unknown[digest] = np.array(open_reference(reference))
                digests.append((reference.name, digest))
            except ValueError as error:
                skipped.append(Skipped(picture=reference.name, reason=str(error)))
                on_warning(f"{reference.path}: skipped, {error}")
        if unknown:
            caption(unknown)
        captions += [Caption(picture=picture, sha256=digest, text=known[digest]) for picture, digest in digests]
    if not captions:
        expected = f"none of its {len(references)} pictures can be read; the first: {skipped[0].reason}"
        raise SpecError(
            [Fault(file=table, line=row.line or None, column="references", found=row.references, expected=expected)]
        )
    return CaptionRow(
        table=table,
        name=name,
        prompt=prompt,
        references=row.references,
        captions=tuple(captions),
        skipped=tuple(skipped),
    )


def candidates(
    key: RowKey, captions: Sequence[str], attributes: dict[str, tuple[str, ...]], models: PromptModels
) -> Iterator[tuple[str, str]]:
    """Yield (source, text) for a row, from its captions, its attributes and GPT-2 in turn, until all are spent."""
    config = models.config
    rng = derive_rng(config.seed, BOOK, key_position(key), _ATTRIBUTES)
    waiting = {"caption": iter(captions), "attributes": compose(key[2], attributes, rng)}
    if config.prompts.enrich == "gpt2":
        waiting["gpt2"] = _written(key, captions, models)
    while waiting:
        for source, texts in list(waiting.items()):
            text = next(texts, None)
            if text is None:
                del waiting[source]
            else:
                yield source, text


def attributes_for(attributes: Sequence[AttributeSpec], category: str) -> dict[str, tuple[str, ...]]:
    """Attribute -> its values for a category, or for backgrounds where `category` is ""."""
    wanted = (EVERYTHING, OBJECTS, category) if category else (EVERYTHING, BACKGROUNDS)
    values: dict[str, tuple[str, ...]] = {}
    for row in attributes:
        if row.applies_to in wanted:
            values[row.attribute] = (*values.get(row.attribute, ()), row.text)
    return values


def compose(prompt: str, values: dict[str, tuple[str, ...]], rng: np.random.Generator) -> Iterator[str]:
    """Yield texts, each once: the prompt with one value each of some attributes, in the order of the file.

    Ends when nothing new has come up for a while. With light ("at dusk", "at noon") and weather ("in fog"), "a cow"
    may become "a cow, at dusk, in fog".
    """
    seen: set[str] = set()
    idle = 0
    while values and idle < PATIENCE:
        chosen = [str(rng.choice(texts)) for texts in values.values() if rng.random() < USE_SHARE]
        text = ", ".join([prompt, *chosen])
        idle += 1
        if chosen and text not in seen:
            idle = 0
            seen.add(text)
            yield text


def _written(key: RowKey, captions: Sequence[str], models: PromptModels) -> Iterator[str]:
    """Yield endless lines of GPT-2: half go on from a seed text, half begin afresh below some of them."""
    config, position = models.config, key_position(key)
    number = 0
    while True:
        rng = derive_rng(config.seed, BOOK, position, _CONTEXT, number)
        others = [captions[int(i)] for i in rng.permutation(len(captions))[: CONTEXT_LINES - 1]]
        lines = [*others, key[2]]
        size = min(FIRST_BATCH * 2**number, LARGEST_BATCH)
        openings = [str(lines[int(rng.integers(len(lines)))]) if place % 2 else "" for place in range(size)]
        seed = derive_seed(config.seed, BOOK, position, _LINES, number)
        yield from models.enricher.write(lines, openings, config.prompts, seed=seed)
        number += 1
