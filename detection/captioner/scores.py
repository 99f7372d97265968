"""How near captions come to those that people wrote, by nltk: BLEU and a METEOR that needs no download.

BLEU: Papineni et al. 2002, https://aclanthology.org/P02-1040. METEOR: Lavie and Agarwal 2007,
https://aclanthology.org/W07-0734.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu
from nltk.translate.meteor_score import meteor_score
from pydantic import BaseModel, ConfigDict, Field

MAX_ORDER = 4
# Marks do not count, as in the scores of COCO captions.
_WORD = re.compile(r"\w+(?:['’]\w+)*")


class CaptionScores(BaseModel):
    """Scores over a set of pictures, each from 0 to 1, higher is better."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    bleu_1: float = Field(alias="BLEU-1")
    bleu_2: float = Field(alias="BLEU-2")
    bleu_3: float = Field(alias="BLEU-3")
    bleu_4: float = Field(alias="BLEU-4")
    meteor: float = Field(alias="METEOR (exact and stem)")
    """METEOR with exact and stem matches only: without synonyms it is lower than what papers report."""

    @property
    def labelled(self) -> dict[str, float]:
        """The scores under the names to show them by, in the order to show them in."""
        return self.model_dump(by_alias=True)


class _NoSynonyms:
    """Stands where nltk asks for WordNet, which is a download: no word has synonyms."""

    def synsets(self, _word: str) -> list[object]:
        return []


def score_captions(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Score one caption of each picture against what people wrote of it, at least one reference each.

    BLEU counts over the corpus, with 0.1 in place of zero matches of an order (Chen and Cherry 2014, method 1), so
    captions below four words cannot reach a BLEU-4 of 1. METEOR is the mean over pictures of the best reference.
    Raises ValueError for no pictures, or without references of one.

    >>> score_captions(["a red disc"], [["a red disc", "a disc that is red"]]).bleu_3
    1.0
    """
    if not captions or len(captions) != len(references) or not all(references):
        raise ValueError(f"{len(captions)} captions and references of {sum(map(bool, references))} pictures")
    said = [words_of(caption) for caption in captions]
    known = [[words_of(reference) for reference in several] for several in references]
    weights = [(1 / order,) * order for order in range(1, MAX_ORDER + 1)]
    bleu = corpus_bleu(known, said, weights=weights, smoothing_function=SmoothingFunction().method1)
    meteor = [meteor_score(several, words, wordnet=_NoSynonyms()) for several, words in zip(known, said, strict=True)]
    named = {f"bleu_{order}": float(value) for order, value in enumerate(bleu, start=1)}
    return CaptionScores.model_validate({**named, "meteor": float(sum(meteor) / len(meteor))})


def words_of(caption: str) -> list[str]:
    """Words in lower case, without marks.

    >>> words_of("A dog's ball, left.")
    ['a', "dog's", 'ball', 'left']
    """
    return _WORD.findall(caption.lower())
