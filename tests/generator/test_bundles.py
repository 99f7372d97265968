from pathlib import Path

import pytest
from pydantic import ValidationError

from generator.bundles import BUNDLES, CARD_FILE, BundleCard, ModelRef, load_card
from generator.config import Config
from generator.foundation.errors import ConfigError, DomainError
from generator.spec import BackgroundSpec, ClassSpec, Spec, load_spec

ROOT = Path(__file__).parents[2]
CARD = {
    "name": "toy",
    "title": "A toy",
    "paints": "red balls",
    "licence": "none",
    "source": "this test",
    "vocabulary": ["a", "red", "ball"],
    "instead": "Take another.",
    "defaults": {},
    "models": {},
}


def spec(background: str, thing: str) -> Spec:
    return Spec(
        backgrounds=(BackgroundSpec(prompt=background, num_imgs=1, line=2),),
        classes=(ClassSpec(prompt=thing, name="thing", min_appear=1, max_appear=1, line=5),),
    )


@pytest.mark.parametrize("bundle", BUNDLES)
def test_every_bundle_has_a_card_that_agrees_with_itself(bundle):
    card = load_card(bundle)
    assert card.name == bundle
    for model in card.models.values():
        assert model is None or ModelRef.model_validate(model)
    # The settings below the user's must be ones that the bundle can paint.
    defaults = card.defaults["painting"]
    assert card.unknown_words([defaults["background_negative_prompt"], defaults["object_negative_prompt"]]) == []


def test_the_default_scenario_is_one_that_the_pocket_bundle_can_paint():
    wish = load_spec(ROOT / "background.csv", ROOT / "classes.csv", canvas_wh=Config().canvas_wh)
    assert load_card("pocket").check_domain(wish) == []


@pytest.mark.parametrize(
    ("texts", "unknown"),
    [
        ([], []),
        ([""], []),
        (["a red ball"], []),
        (["A RED ball, a Ball."], []),
        (["a green ball", "blue, green"], ["green", "blue"]),
        (["3 balls of 20%"], ["balls", "of"]),
    ],
)
def test_unknown_words(texts, unknown):
    assert BundleCard.model_validate(CARD).unknown_words(texts) == unknown
    assert BundleCard.model_validate({**CARD, "vocabulary": None}).unknown_words(texts) == []


def test_the_refusal_names_the_files_the_lines_the_words_and_the_way_out():
    card = BundleCard.model_validate(CARD)
    assert card.check_domain(spec("a ball", "a red ball")) == []
    assert load_card("sd21").check_domain(spec("a field", "a red big cat")) == []
    with pytest.raises(DomainError) as caught:
        card.check_domain(spec("a field", "a red big cat one two three four five"))
    assert str(caught.value) == (
        "the bundle 'toy' paints red balls, and has never seen these words:\n"
        "  background.csv:2: 'field'\n"
        "  classes.csv:5: 'big', 'cat', 'one', 'two', 'three', 'four' ...\n"
        "Take another. To go on all the same: boxpaint prompts --force, boxpaint generate --force"
    )


def test_a_word_beside_the_subject_is_no_reason_to_refuse():
    card = BundleCard.model_validate(CARD | {"subjects": ["ball"]})
    assert card.check_domain(spec("a ball", "a green ball")) == [
        "the bundle 'toy' does not know these words: classes.csv:5: 'green'"
    ]
    with pytest.raises(DomainError, match=r"'green', 'car'"):
        card.check_domain(spec("a ball", "a green car"))


def write_card(folder: Path, text: str | bytes) -> str:
    (folder / CARD_FILE).write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder)


def test_a_folder_of_ones_own(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "lora.safetensors").touch()
    models = {"inpaint": {"folder": "weights"}, "background": {"folder": "not/here"}, "other": None}
    tuned = {"id": "a/b", "adapters": [{"folder": "lora.safetensors"}, {"id": "c/d"}]}
    # JSON is YAML too.
    card = load_card(
        write_card(tmp_path, BundleCard.model_validate({**CARD, "models": models | {"tuned": tuned}}).model_dump_json())
    )
    adapters = [{"folder": str(tmp_path / "lora.safetensors")}, {"id": "c/d"}]
    assert card.models == models | {
        "inpaint": {"folder": str(tmp_path / "weights")},
        "tuned": {"id": "a/b", "adapters": adapters},
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("name: [\n", id="not YAML"),
        pytest.param(b"name: \xff\n", id="not UTF-8"),
        pytest.param("name: 2024-13-45\n", id="a day that is none"),
    ],
)
def test_a_card_that_cannot_be_read(tmp_path, text):
    with pytest.raises(ConfigError, match=r"a folder with a readable bundle\.yaml") as caught:
        load_card(write_card(tmp_path, text))
    assert caught.value.faults[0].file == str(tmp_path / CARD_FILE)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        pytest.param("", [None], id="empty"),
        pytest.param("- name\n", [None], id="a list"),
        pytest.param("name: x\ntitel: y\n", ["titel", "title"], id="keys"),
    ],
)
def test_a_card_with_faults(tmp_path, text, columns):
    with pytest.raises(ConfigError) as caught:
        load_card(write_card(tmp_path, text))
    assert {fault.file for fault in caught.value.faults} == {str(tmp_path / CARD_FILE)}
    assert {column or "" for column in columns} <= {fault.column or "" for fault in caught.value.faults}


@pytest.mark.parametrize("bundle", ["poket", "no/such/folder", "/dev/null"])
def test_no_such_bundle(bundle):
    with pytest.raises(ConfigError, match="one of pocket, sd21, or a folder") as caught:
        load_card(bundle)
    (fault,) = caught.value.faults
    assert (fault.column, fault.found) == ("bundle", bundle)
    assert "models.inpaint.id" in fault.expected  # what most people who write a hub id there are after


@pytest.mark.parametrize("source", [{}, {"id": ""}, {"revision": "main"}, {"id": "a/b", "dtype": "int8"}, {"url": "x"}])
def test_a_model_without_a_source(source):
    with pytest.raises(ValidationError):
        ModelRef(**source)
