"""How near captions come to those that people wrote, by nltk: BLEU and a METEOR that needs no download.

BLEU: Papineni et al. 2002, https://aclanthology.org/P02-1040. METEOR: Lavie and Agarwal 2007,
https://aclanthology.org/W07-0734.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu
from nltk.translate.meteor_score import meteor_score

METEOR_LABEL = "METEOR (exact and stem)"
MAX_ORDER = 4
# Marks do not count, as in the scores of COCO captions.
_WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionScores:
    """Scores over a set of pictures, each from 0 to 1, higher is better."""

    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    meteor: float
    """METEOR with exact and stem matches only: without synonyms it is lower than what papers report."""

    @property
    def labelled(self) -> dict[str, float]:
        """The scores under the names to show them by, in the order to show them in."""
        return {
            "BLEU-1": self.bleu_1,
            "BLEU-2": self.bleu_2,
            "BLEU-3": self.bleu_3,
            "BLEU-4": self.bleu_4,
            METEOR_LABEL: self.meteor,
        }

    @classmethod
    def from_labelled(cls, scores: Mapping[str, float]) -> CaptionScores:
        """Take what `labelled` gave. Raises KeyError when a score is missing."""
        return cls(
            bleu_1=float(scores["BLEU-1"]),
            bleu_2=float(scores["BLEU-2"]),
            bleu_3=float(scores["BLEU-3"]),
            bleu_4=float(scores["BLEU-4"]),
            meteor=float(scores[METEOR_LABEL]),
        )


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
    bleu_1, bleu_2, bleu_3, bleu_4 = (float(value) for value in bleu)
    return CaptionScores(
        bleu_1=bleu_1, bleu_2=bleu_2, bleu_3=bleu_3, bleu_4=bleu_4, meteor=float(sum(meteor) / len(meteor))
    )


def words_of(caption: str) -> list[str]:
    """Words in lower case, without marks.

    >>> words_of("A dog's ball, left.")
    ['a', "dog's", 'ball', 'left']
    """
    return _WORD.findall(caption.lower())
