"""Captions of the reference photos: found, read, captioned once, cached by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from generator.config import Config
from generator.errors import Fault, SpecError
from generator.prompts.book import Caption, CaptionRow, Captions, Skipped
from generator.prompts.caption_cache import CaptionCache
from generator.prompts.models import PromptModels
from generator.references import content_hash, find_references, open_reference, reference_fault, sample
from generator.spec import ClassSpec, Spec

# Pictures decoded at a time: a folder of large photos does not fit into memory.
GROUP = 32


def caption_references(
    spec: Spec, config: Config, models: PromptModels, on_warning: Callable[[str], None]
) -> Captions | None:
    """Caption the reference photos of every class; None when no class has any.

    A picture that cannot be read is skipped, with a line to `on_warning`. Raises SpecError when a class has references
    and none of them can be read.
    """
    rows = [row for row in spec.classes if row.references]
    if not rows:
        return None
    parameters = {"prefix": config.prompts.caption_prefix, "max_references": config.prompts.max_references}
    if models.is_elsewhere("captioner"):
        _ = models.captioner  # only the download tells its commit, which the cache and captions.json go by
    captioner = models.fingerprint("captioner")
    cache = CaptionCache({"captioner": captioner, "prefix": config.prompts.caption_prefix})
    captioned = tuple(_caption_row(row, spec, config, models, cache, on_warning) for row in rows)
    return Captions(model=captioner, parameters=parameters, rows=captioned)


def _caption_row(
    row: ClassSpec,
    spec: Spec,
    config: Config,
    models: PromptModels,
    cache: CaptionCache,
    on_warning: Callable[[str], None],
) -> CaptionRow:
    folder = Path(spec.folder)
    fault = reference_fault("classes", row.line, row.references, folder)
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
                    file="classes",
                    line=row.line or None,
                    column="references",
                    found=row.references,
                    expected=f"none of its {len(references)} pictures can be read; the first: {skipped[0].reason}",
                )
            ]
        )
    return CaptionRow(
        name=row.name,
        prompt=row.prompt,
        references=row.references,
        captions=tuple(captions),
        skipped=tuple(skipped),
    )
