"""BLEU and METEOR against values worked by hand."""

import math

import pytest

from detection.captioner.scores import CaptionScores, score_captions, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("A dog's ball , left .", ["a", "dog's", "ball", "left"]),
        ("Ein großer Hund!", ["ein", "großer", "hund"]),
        ("two-tone 3D", ["two", "tone", "3d"]),
    ],
)
def test_words_leave_case_and_marks_behind(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_caption_that_someone_wrote_scores_one() -> None:
    scores = score_captions(["A dog runs over the grass."], [["a cat", "a dog runs over the grass"]])
    assert (scores.bleu_1, scores.bleu_2, scores.bleu_3, scores.bleu_4) == pytest.approx((1, 1, 1, 1))
    # Six matches in one chunk: 1 - 0.5 (1/6)^3
    assert scores.meteor == pytest.approx(1 - 0.5 / 216)


def test_bleu_by_hand() -> None:
    # "the dogs run" for "the dog runs fast": one of three words, no pair of two, no triple of one, and no order four
    # (counted as none of one); 0.1 stands for each zero. It is a word short: exp(1 - 4/3).
    scores = score_captions(["the dogs run"], [["the dog runs fast"]])
    short = math.exp(1 - 4 / 3)
    one, two, three, four = 1 / 3, 0.1 / 2, 0.1 / 1, 0.1 / 1
    assert scores.bleu_1 == pytest.approx(short * one)
    assert scores.bleu_2 == pytest.approx(short * (one * two) ** (1 / 2))
    assert scores.bleu_3 == pytest.approx(short * (one * two * three) ** (1 / 3))
    assert scores.bleu_4 == pytest.approx(short * (one * two * three * four) ** (1 / 4))


def test_bleu_counts_over_the_corpus_and_each_pictures_nearest_reference() -> None:
    # Words: 2 of 2 and 1 of 4, so 3 of 6 (the mean over pictures would be .625); "dog" counts once, and the lengths of
    # the nearest references, 2 and 4, add up to six: no penalty.
    scores = score_captions(["a dog", "dog dog dog dog"], [["a dog"], ["one dog ran off", "a"]])
    assert scores.bleu_1 == pytest.approx(3 / 6)


def test_meteor_matches_stems_and_no_synonyms() -> None:
    # the-the, dogs-dog and run-runs are all three of its words, three of four of the reference, in one chunk:
    # P = 1, R = 3/4, F = PR / (.9 P + .1 R) = .75 / .975; penalty .5 (1/3)^3.
    scores = score_captions(["the dogs run"], [["the dog runs fast"]])
    assert scores.meteor == pytest.approx(0.75 / 0.975 * (1 - 0.5 / 27))
    # WordNet has car and automobile as one: here they are two.
    assert score_captions(["car"], [["automobile"]]).meteor == 0


def test_meteor_takes_the_best_reference_of_each_picture_and_their_mean() -> None:
    # One picture is hit by its second reference, one word, one chunk: .5; the other by none: 0.
    scores = score_captions(["dog", "cow"], [["cat", "dog"], ["hen"]])
    assert scores.meteor == pytest.approx((0.5 + 0) / 2)


def test_empty_captions_score_nothing() -> None:
    scores = score_captions(["", "..."], [["a dog"], ["a cat"]])
    assert list(scores.labelled.values()) == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(("captions", "references"), [([], []), (["a"], []), (["a"], [[]])])
def test_nothing_to_compare_is_refused(captions: list[str], references: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="captions and references"):
        score_captions(captions, references)


def test_the_label_says_what_meteor_leaves_out_and_comes_back() -> None:
    scores = CaptionScores(bleu_1=0.5, bleu_2=0.4, bleu_3=0.3, bleu_4=0.2, meteor=0.1)
    assert scores.labelled["METEOR (exact and stem)"] == 0.1
    assert CaptionScores.model_validate(scores.labelled) == scores
