"""The prompt book made: three sources, judged by words and by a model, the same for the same seed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.errors import ConfigError
from generator.prompts import make
from generator.prompts.book import BookRow, PromptBook, Text, read_book, write_book
from generator.prompts.make import RowProgress, make_book
from generator.prompts.sources import PromptModels
from generator.spec import AttributeSpec, BackgroundSpec, ClassSpec, Spec

ConfigOf = Callable[..., Config]

FIELD = BackgroundSpec(prompt="a green field", num_imgs=3, line=2)
COW = ClassSpec(prompt="a brown cow", name="cow", min_appear=1, max_appear=2, line=2)
WOLF = ClassSpec(prompt="a grey wolf", name="wolf", min_appear=0, max_appear=1, line=3)
ATTRIBUTES = (
    AttributeSpec(attribute="light", text="at dusk"),
    AttributeSpec(attribute="light", text="at noon"),
    AttributeSpec(attribute="pose", text="lying", applies_to="cow"),
)


def spec_of(*classes: ClassSpec, backgrounds=(FIELD,), attributes=()) -> Spec:
    return Spec(backgrounds=backgrounds, classes=classes or (COW,), attributes=attributes)


def row_of(book: PromptBook, prompt: str) -> BookRow:
    return next(row for row in book.enriched.rows if row.prompt == prompt)


# The whole book.


def test_the_same_wish_gives_the_same_bytes_and_another_seed_others(config_of: ConfigOf, cache_home: Path):
    spec = spec_of(COW, WOLF, attributes=ATTRIBUTES)
    config = config_of(variants=8)
    one = make_book(spec, config)
    shutil.rmtree(cache_home)
    assert make_book(spec, config).files() == one.files()
    other = make_book(spec, config_of(variants=8, seed=1))
    assert other.digest != one.digest
    assert [row.key for row in one.enriched.rows] == [
        ("background", "", "a green field"),
        ("classes", "cow", "a brown cow"),
        ("classes", "wolf", "a grey wolf"),
    ]
    assert {item.source for row in one.enriched.rows for item in row.texts} == {"prompt", "attributes", "gpt2"}
    assert all(len(row.kept) >= 3 for row in one.enriched.rows)  # GPT-2 of random weights writes much junk


def test_a_made_book_can_be_written_and_read(config_of: ConfigOf, tmp_path: Path):
    # What a GPT-2 of random weights writes: odd letters, digits alone, half words.
    spec = spec_of(COW, WOLF)
    book = make_book(spec, config_of(variants=20, min_similarity=0.9, max_similarity=0.95))
    texts = [item for row in book.enriched.rows for item in row.texts]
    assert len(texts) > 100
    assert any(item.rejected for item in texts)
    write_book(book, tmp_path)
    again = read_book(tmp_path, spec)
    assert again == book
    assert again.files() == book.files()


def test_what_the_book_says_of_itself(config_of: ConfigOf):
    config = config_of(seed=7)
    book = make_book(spec_of(), config)
    assert book.captions is None
    assert book.enriched.seed == 7
    assert book.enriched.parameters == config.prompts.model_dump(mode="json")
    assert sorted(book.enriched.models) == ["embedder", "enricher"]
    assert all(value.startswith("sha256:") for value in book.enriched.models.values())


def test_another_row_changes_nothing_in_the_first(config_of: ConfigOf):
    zebra = ClassSpec(prompt="a zebra", name="zebra", min_appear=0, max_appear=1)
    config = config_of(variants=6)
    alone = make_book(spec_of(COW, attributes=ATTRIBUTES), config)
    # Wherever it is put.
    for classes in ((COW, zebra), (zebra, COW)):
        both = make_book(spec_of(*classes, attributes=ATTRIBUTES), config)
        assert row_of(both, COW.prompt) == row_of(alone, COW.prompt)
        assert row_of(both, FIELD.prompt) == row_of(alone, FIELD.prompt)
    assert {item.source for item in row_of(alone, COW.prompt).texts} == {"prompt", "attributes", "gpt2"}


def test_rows_that_say_the_same_are_made_once(config_of: ConfigOf):
    heard: list[BookRow] = []
    spec = spec_of(COW, COW, backgrounds=(FIELD, FIELD))
    book = make_book(spec, config_of(), on_row=heard.append)
    assert [row.prompt for row in book.enriched.rows] == ["a green field", "a brown cow"]
    assert tuple(heard) == book.enriched.rows


# The row's own prompt, and what is judged against it.


@pytest.mark.parametrize(
    "given",
    [
        {"min_similarity": 1.0, "max_similarity": 0.0},  # nothing else can be kept
        {"variants": 1},
        {"max_words": 3},
        {},
    ],
)
def test_the_own_prompt_is_the_first_and_always_kept(config_of: ConfigOf, given: dict[str, object]):
    drawing = ClassSpec(prompt="a drawing, a drawing of the, 3 cows and a wolf", name="cow", min_appear=1, max_appear=1)
    book = make_book(spec_of(drawing, WOLF, attributes=ATTRIBUTES), config_of(patience=20, **given))
    for row in book.enriched.rows:
        assert (row.texts[0].text, row.texts[0].source, row.texts[0].rejected) == (row.prompt, "prompt", "")
        assert row.kept[0] == row.prompt


def test_scores_are_those_of_the_embedder(config_of: ConfigOf):
    config = config_of(enrich="none", variants=5)
    row = row_of(make_book(spec_of(attributes=ATTRIBUTES), config), COW.prompt)
    embedder = PromptModels(config).embedder
    vectors: list[np.ndarray] = []
    for item in row.texts:
        vector = embedder.embed_texts([item.text])[0]
        if vectors:
            products = [float(vector @ other) for other in vectors]
            assert item.similarity == pytest.approx(products[0], abs=1e-4)
            assert item.nearest == pytest.approx(max(products), abs=1e-4)
        vectors.append(vector)
    assert (row.texts[0].similarity, row.texts[0].nearest) == (None, None)


def test_off_topic_and_near_duplicates_are_rejected_with_their_scores(config_of: ConfigOf):
    spec = spec_of(attributes=ATTRIBUTES)
    far = row_of(make_book(spec, config_of(enrich="none", min_similarity=1.0)), COW.prompt)
    near = row_of(make_book(spec, config_of(enrich="none", max_similarity=0.5)), COW.prompt)
    assert far.kept == near.kept == (COW.prompt,)
    assert len(far.texts) == len(near.texts) == 6  # dusk, noon, lying, and lying at dusk and noon
    for item in far.texts[1:]:
        assert item.rejected == f"off-topic: {item.similarity} to the row's own prompt, below 1"
    for item in near.texts[1:]:
        assert item.rejected == f"near-duplicate: {item.nearest} to a text that is kept, above 0.5"


def test_rules_on_words_come_before_the_model(config_of: ConfigOf):
    texts = ["on a poster", "with a wolf", "and two cows", "in the", "in a wood"]
    spec = spec_of(COW, WOLF, attributes=tuple(AttributeSpec(attribute="x", text=text) for text in texts))
    row = row_of(make_book(spec, config_of(enrich="none", patience=60)), COW.prompt)
    assert {item.text: item.rejected for item in row.texts} == {
        "a brown cow": "",
        "a brown cow, on a poster": "blocked word: poster",
        "a brown cow, with a wolf": "names another class: wolf",
        "a brown cow, and two cows": "speaks of several: cow",
        "a brown cow, in the": "fragment: ends with 'the'",
        "a brown cow, in a wood": "",
    }
    assert all(item.similarity is None for item in row.texts if item.rejected)
    lax = make_book(spec, config_of(enrich="none", patience=60, block_words=False))
    assert "a brown cow, on a poster" in row_of(lax, COW.prompt).kept


# What is finished is kept.


def note_rows(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Prompts of the rows for which texts are looked for from now on."""
    made: list[str] = []
    find_texts = make._Search._find_texts

    def note(search: make._Search, *others: Any) -> list[Text]:
        made.append(search.key[2])
        return find_texts(search, *others)

    monkeypatch.setattr(make._Search, "_find_texts", note)
    return made


def test_a_stopped_book_goes_on_with_its_next_row_and_gives_the_same_bytes(
    config_of: ConfigOf, cache_home: Path, monkeypatch: pytest.MonkeyPatch
):
    spec, config = spec_of(COW, WOLF, attributes=ATTRIBUTES), config_of(variants=6)
    whole = make_book(spec, config)
    shutil.rmtree(cache_home)

    def stop(row: BookRow) -> None:
        if row.prompt == COW.prompt:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_book(spec, config, on_row=stop)
    made = note_rows(monkeypatch)
    heard: list[RowProgress] = []
    assert make_book(spec, config, on_progress=heard.append).files() == whole.files()
    assert made == [WOLF.prompt]
    assert heard[0] == RowProgress(prompt=FIELD.prompt, number=1, rows=3, kept=1, tried=1)
    assert heard[-1].number == 3
    assert heard[-1].tried > 1
    # All of it is there now.
    assert make_book(spec, config).files() == whole.files()
    assert made == [WOLF.prompt]


@pytest.mark.parametrize("what", ["seed", "settings", "model", "attributes", "another class"])
def test_a_row_is_made_again_when_something_else_decides_it(
    config_of: ConfigOf, tiny_language_models: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    make_book(spec_of(attributes=ATTRIBUTES), config_of(enrich="none"))
    clip = {"embedder": {"folder": str(tiny_language_models / "clip")}}
    config = {
        "seed": config_of(enrich="none", seed=1),
        "settings": config_of(enrich="none", max_words=11),
        "model": config_of(enrich="none", models=clip),
    }.get(what, config_of(enrich="none"))
    classes = (COW, WOLF) if what == "another class" else (COW,)
    attributes = ATTRIBUTES[:2] if what == "attributes" else ATTRIBUTES
    asked = note_rows(monkeypatch)
    make_book(spec_of(*classes, attributes=attributes), config)
    assert COW.prompt in asked


# Which models are loaded.


def test_without_sources_no_model_is_loaded_and_nothing_is_warned_of(config_of: ConfigOf):
    nowhere = dict.fromkeys(("captioner", "enricher", "embedder"))
    warnings: list[str] = []
    book = make_book(spec_of(), config_of(enrich="none", models=nowhere), on_warning=warnings.append)
    assert book.enriched.models == {}
    assert [row.kept for row in book.enriched.rows] == [("a green field",), ("a brown cow",)]
    assert warnings == []


def test_one_variant_needs_no_model(config_of: ConfigOf):
    nowhere = dict.fromkeys(("captioner", "enricher", "embedder"))
    book = make_book(spec_of(attributes=ATTRIBUTES), config_of(variants=1, models=nowhere))
    assert book.enriched.models == {}
    assert [len(row.texts) for row in book.enriched.rows] == [1, 1]


def test_attributes_alone_need_an_embedder_alone(config_of: ConfigOf):
    models = {"captioner": None, "enricher": None}
    book = make_book(spec_of(attributes=ATTRIBUTES), config_of(enrich="none", models=models))
    assert list(book.enriched.models) == ["embedder"]
    assert {item.source for row in book.enriched.rows for item in row.texts} == {"prompt", "attributes"}
    for_field = row_of(book, FIELD.prompt)
    assert set(for_field.kept) == {"a green field", "a green field, at dusk", "a green field, at noon"}


@pytest.mark.parametrize(("role", "attributes"), [("enricher", ()), ("embedder", ATTRIBUTES)])
def test_a_model_that_is_needed_and_missing(config_of: ConfigOf, role: str, attributes):
    enrich = "gpt2" if role == "enricher" else "none"
    with pytest.raises(ConfigError) as caught:
        make_book(spec_of(attributes=attributes), config_of(models={role: None}, enrich=enrich))
    (fault,) = caught.value.faults
    assert fault.column == f"models.{role}"
    assert "set prompts: {enrich: none}" in fault.expected


# The end.


def test_it_ends_when_nothing_is_good_enough(config_of: ConfigOf):
    heard: list[BookRow] = []
    config = config_of(variants=3, max_similarity=0.0, patience=10)
    book = make_book(spec_of(), config, on_row=heard.append)
    assert [row.kept for row in book.enriched.rows] == [("a green field",), ("a brown cow",)]
    assert all(1 < len(row.texts) <= 11 for row in book.enriched.rows)
    assert heard == list(book.enriched.rows)


def test_pocket_writes_of_its_class_in_words_that_it_paints():
    platelet = ClassSpec(prompt="a small purple platelet", name="platelet", min_appear=1, max_appear=1)
    smear = BackgroundSpec(prompt="a stained blood smear", num_imgs=1)
    config = Config(device="cpu", prompts={"variants": 3, "patience": 24})
    book = make_book(spec_of(platelet, backgrounds=(smear,)), config)
    texts = row_of(book, platelet.prompt).kept
    assert len(texts) == 3
    assert all("platelet" in text for text in texts)
    assert config.card.unknown_words([*texts, *row_of(book, smear.prompt).kept]) == []
