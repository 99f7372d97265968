"""Captions of the reference photos: found, read, captioned once, cached by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from generator.config import Config
from generator.foundation.errors import Fault, SpecError
from generator.prompts.book import Caption, CaptionRow, Captions, RowKey, Skipped, background_key, class_key
from generator.prompts.cache import CAPTION_SETTINGS, CaptionCache
from generator.prompts.models import PromptModels
from generator.spec.references import content_hash, find_references, open_reference, reference_fault, sample
from generator.spec.spec import BackgroundSpec, ClassSpec, Spec

# Pictures decoded at a time: a folder of large photos does not fit into memory.
GROUP = 32


def caption_references(
    spec: Spec, config: Config, models: PromptModels, on_warning: Callable[[str], None]
) -> Captions | None:
    """Caption the reference photos of every row; None when no row has any.

    A picture that cannot be read is skipped, with a line to `on_warning`. Raises SpecError when a row has references
    and none of them can be read.
    """
    rows: dict[RowKey, BackgroundSpec | ClassSpec] = {background_key(row): row for row in spec.backgrounds}
    rows.update((class_key(row), row) for row in spec.classes)
    rows = {key: row for key, row in rows.items() if row.references}
    if not rows:
        return None
    parameters = {"prefix": config.prompts.caption_prefix, "max_references": config.prompts.max_references}
    if models.ref("captioner").folder is None:
        # Of a hub model only the loading tells the commit, which the cache and captions.json go by.
        _ = models.captioner
    captioner = models.used["captioner"] = models.fingerprint("captioner")
    cache = CaptionCache({"captioner": captioner, "prefix": config.prompts.caption_prefix, **CAPTION_SETTINGS})
    captioned = tuple(_caption_row(key, row, spec, config, models, cache, on_warning) for key, row in rows.items())
    return Captions(schema_version=1, model=captioner, parameters=parameters, rows=captioned)


def _caption_row(
    key: RowKey,
    row: BackgroundSpec | ClassSpec,
    spec: Spec,
    config: Config,
    models: PromptModels,
    cache: CaptionCache,
    on_warning: Callable[[str], None],
) -> CaptionRow:
    folder = Path(spec.folder)
    fault = reference_fault(key[0], row.line, row.references, folder)
    if fault is not None:
        raise SpecError([fault])
    captions: list[Caption] = []
    skipped: list[Skipped] = []
    references = sample(find_references(row.references, folder), config.prompts.max_references)
    for start in range(0, len(references), GROUP):
        digests: list[tuple[str, str]] = []  # two folders may hold a 1.jpg each
        unknown: dict[str, np.ndarray] = {}
        for reference in references[start : start + GROUP]:
            try:
                digest = content_hash(reference)
                if cache.get(digest) is None:
                    unknown[digest] = np.array(open_reference(reference))
                digests.append((reference.name, digest))
            except ValueError as error:
                skipped.append(Skipped(picture=reference.name, reason=str(error)))
                on_warning(f"{reference.path}: skipped, {error}")
        if unknown:
            said = models.captioner.caption(list(unknown.values()), prefix=config.prompts.caption_prefix)
            cache.add(dict(zip(unknown, said, strict=True)))
        captions += [Caption(picture=name, sha256=digest, text=cache.get(digest) or "") for name, digest in digests]
    if not captions:
        raise SpecError(
            [
                Fault(
                    file=key[0],
                    line=row.line or None,
                    column="references",
                    found=row.references,
                    expected=f"none of its {len(references)} pictures can be read; the first: {skipped[0].reason}",
                )
            ]
        )
    return CaptionRow(
        table=key[0],
        name=key[1],
        prompt=key[2],
        references=row.references,
        captions=tuple(captions),
        skipped=tuple(skipped),
    )
