"""Words in texts: what a model wrote made into a text, and the classes that a text names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.prompts.rules import class_phrases, clean, find_phrases
from generator.spec import ClassSpec

PROPERTY = settings(max_examples=300, deadline=None, derandomize=True, database=None)

WORDS = (
    *("a", "the", "an", "no", "of", "in", "and", "two", "wolf", "wolves", "cow", "cows", "cell", "red", "blood"),
    *("field", "snow", "logo", '"a', "(", "1.", "2)", "-", "•", "...", "It", "!", "e.g.", "3.5", "'", "’s", ";", "né"),
)
# Texts of words that the rules know, between texts of anything.
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))


def thing(prompt: str, name: str, *synonyms: str) -> ClassSpec:
    return ClassSpec(prompt=prompt, name=name, synonyms=synonyms, min_appear=0, max_appear=1)


# What a model wrote, made into a text.


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", ""),
        ("   \n\t", ""),
        ("...", ""),
        ("a cow", "a cow"),
        ("a cow.", "a cow"),
        ("  a   cow\n in a\tfield ", "a cow in a field"),
        (' "a cow in a field. It is', "a cow in a field"),
        ("a cow in a field. A wolf", "a cow in a field"),
        ("a cow in a field! “Look", "a cow in a field"),
        ("a cow in a field. it is", "a cow in a field. it is"),  # no new sentence: "approx. 3 m" goes on so, too
        ("a cow, 3.5 m long", "a cow, 3.5 m long"),
        ("a cow, e.g. a brown one", "a cow, e.g. a brown one"),
        ("1. a cow", "a cow"),
        ("2) a cow", "a cow"),
        ("- a cow", "a cow"),
        ("• a cow,", "a cow"),
        ("1. 2. a cow", "a cow"),
        ('"1. a cow"', "a cow"),
        ("- - 'a cow' -", "a cow"),
        ("1.5 litres of milk", "1.5 litres of milk"),
        ("a cow's calf", "a cow's calf"),
        ("“a cow”", "a cow"),
        ("a cow:", "a cow"),
    ],
)
def test_clean(raw, expected):
    assert clean(raw) == expected


@PROPERTY
@given(TEXTS)
def test_clean_takes_anything_and_twice_is_once(text):
    once = clean(text)
    assert clean(once) == once
    assert once == " ".join(once.split())
    assert len(once) <= len(text)


# Classes named in a text.


@pytest.mark.parametrize(
    ("text", "phrases", "expected"),
    [
        ("", ["cow"], []),
        ("a cow", [], []),
        ("a cow", ["cow"], [("cow", "cow", False)]),
        ("a Cow and a COW", ["cow"], [("cow", "Cow", False), ("cow", "COW", False)]),
        ("two cows", ["cow"], [("cow", "cows", True)]),
        ("a red cow, red cows", ["red  cow"], [("red  cow", "red cow", False), ("red  cow", "red cows", True)]),
        ("a cowboy and a scow", ["cow"], []),
        ("two butterflies", ["butterfly"], [("butterfly", "butterflies", True)]),
        ("a pack of wolves", ["wolf"], [("wolf", "wolves", True)]),
        ("two knives", ["knife"], [("knife", "knives", True)]),
        ("three foxes", ["fox"], [("fox", "foxes", True)]),
        ("one burn mark", ["burn marks"], [("burn marks", "burn mark", False)]),  # a name in the plural
        ("two red blood cells", ["cell", "red blood cell"], [("red blood cell", "red blood cells", True)]),
        (
            "a cell beside a red blood cell",
            ["cell", "red blood cell"],
            [("cell", "cell", False), ("red blood cell", "red blood cell", False)],
        ),
        ("a white\n blood   cell", ["white blood cell"], [("white blood cell", "white blood cell", False)]),
        ("a white-blood-cell", ["white blood cell"], []),
        ("a cow-like dog", ["cow"], [("cow", "cow", False)]),  # doubtful, but never a cow unseen
        ("a T-junction", ["t-junction"], [("t-junction", "T-junction", False)]),
        ("a c++ book", ["c++"], [("c++", "c++", False)]),
        ("wolf, cow, wolf", ["cow", "wolf"], [("wolf", "wolf", False), ("cow", "cow", False), ("wolf", "wolf", False)]),
        ("a cow", ["cow", "cow"], [("cow", "cow", False)]),
        ("une vache née", ["née"], [("née", "née", False)]),
    ],
)
def test_find_phrases(text, phrases, expected):
    assert [(item.phrase, item.found, item.is_several) for item in find_phrases(text, phrases)] == expected


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("no wolves", True),
        ("a field without wolves", True),
        ("free of any wolves", True),
        ("never a wolf", False),
        ("No big bad wolf", True),
        ("no big bad grey wolf", False),  # at most two words may stand between
        ("no trees, a wolf", False),
        ("a wolf, no trees", False),
        ("piano wolf", False),
        ("a wolf", False),
    ],
)
def test_what_is_said_not_to_be_there(text, negated):
    (mention,) = find_phrases(text, ["wolf"])
    assert mention.negated is negated


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (thing("a white blood cell", "white blood cell"), ("white blood cell",)),
        (thing("a purple leukocyte", "white blood cell", "leukocyte"), ("white blood cell", "leukocyte")),
        (thing("grey wolves in snow", "wolf"), ("wolf",)),
        (thing("a white blood cell, stained", "wbc"), ("white blood cell",)),  # "a dark white blood cell" has it, too
        (thing("black scorch marks, burnt cables", "burn damage"), ("black scorch marks",)),
        (thing("black scorch marks", "burn damage", "soot"), ("black scorch marks",)),
        (thing(", 3, black scorch marks", "burn damage"), ("black scorch marks",)),  # no words before the comma
        (thing("scorch\n marks, black", "burn damage"), ("scorch marks",)),
    ],
)
def test_class_phrases(row, expected):
    assert class_phrases(row) == expected


@PROPERTY
@given(TEXTS, TEXTS, TEXTS)
def test_any_class_has_phrases(prompt, name, synonym):
    row = thing(f"x{prompt}", f"x{name}".strip(), f"x{synonym}".strip())
    assert all(phrase.strip() for phrase in class_phrases(row))
    find_phrases(prompt, class_phrases(row))


@PROPERTY
@given(TEXTS, TEXTS)
def test_mentions_are_in_the_text(text, phrase):
    flat = " ".join(text.split())
    assert all(item.found in flat for item in find_phrases(text, ["wolf", "cow", f"x{phrase}".strip()]))
