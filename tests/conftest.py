"""Real components, only small: the pocket bundle, and checkpoints of random weights in the layout of the hub."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

# How long an example takes says nothing where other work shares the machine.
hypothesis.settings.register_profile("boxpaint", deadline=None)
hypothesis.settings.load_profile("boxpaint")

# Before a test imports numpy or torch, and inherited by processes that tests start: over models this small, threads
# wait for each other a hundred times longer than they compute. `make test` runs one process of tests for each core.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
# pytest-xdist hands on the width of its terminal, and rich would keep it whatever a test asks for.
os.environ.pop("COLUMNS", None)

REPOSITORY = Path(__file__).parent.parent
POCKET = REPOSITORY / "generator" / "bundles" / "pocket" / "inpaint"

BACKGROUND_CSV = 'prompt,num_imgs\n"a blood smear with many red blood cells, no white blood cells",40\n'
CLASSES_CSV = (
    "prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,name\n"
    "a large purple white blood cell,1,1,30%,30%,40%,40%,white blood cell\n"
    "a small purple platelet,1,2,12%,12%,16%,16%,platelet\n"
)

# Language models of random weights: what their tokenizers have read, and their sizes.
LINES = (
    "a small purple platelet",
    "a large purple white blood cell",
    "a dark red blood cell in a stained smear",
    "a blood smear with many red blood cells, no white blood cells",
    "a brown cow in a green field at dusk",
    "a grey wolf running through deep snow",
)
WIDTH, SIDE_PX, PATCH_PX, POSITIONS = 32, 32, 8, 64


def write_csv_files(folder: Path) -> Path:
    """Write the two CSV files of a small scenario."""
    (folder / "background.csv").write_text(BACKGROUND_CSV)
    (folder / "classes.csv").write_text(CLASSES_CSV)
    return folder


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` fills, by one of the processes of a session of tests for all of them."""
    root = factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / name
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


@pytest.fixture()
def csv_folder(tmp_path: Path) -> Path:
    """A folder with the two CSV files of a small scenario."""
    return write_csv_files(tmp_path)


def save_tiny_model(
    folder: Path, *, in_channels: int, prediction_type: str, variants: tuple[str | None, ...], seed: int
) -> Path:
    """Save a two-block Stable Diffusion of random weights as its pipeline would lay it out on the hub."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionInpaintPipeline,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    # A random VAE paints one flat colour, which is refused as a fault: this one is the pocket's.
    vae = AutoencoderKL.from_pretrained(POCKET / "vae")
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=675,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=32,
            bos_token_id=673,
            eos_token_id=674,
            pad_token_id=674,
        )
    )
    parts = {
        "unet": unet,
        "vae": vae,
        "text_encoder": text_encoder,
        "tokenizer": CLIPTokenizer.from_pretrained(POCKET / "tokenizer"),
        "scheduler": DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type=prediction_type,
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    pipeline = (StableDiffusionInpaintPipeline if in_channels == 9 else StableDiffusionPipeline)(**parts)
    for variant in variants:
        if variant == "fp16":
            pipeline.to(dtype=torch.float16)
        pipeline.save_pretrained(folder, variant=variant)
    return folder


@pytest.fixture(scope="session")
def tiny_sd21(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `background` (4 channels, v-prediction, fp16) and `inpaint` (9 channels, epsilon)."""

    def make(folder: Path) -> None:
        background, inpaint = folder / "background", folder / "inpaint"
        save_tiny_model(background, in_channels=4, prediction_type="v_prediction", variants=("fp16",), seed=1)
        save_tiny_model(inpaint, in_channels=9, prediction_type="epsilon", variants=(None,), seed=2)

    return made_once(tmp_path_factory, "tiny_sd21", make)


def save_gpt2(folder: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

    tokenizer = GPT2Tokenizer().train_new_from_iterator(LINES, 300, show_progress=False)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=POSITIONS,
        n_embd=WIDTH,
        n_layer=1,
        n_head=2,
        bos_token_id=end,
        eos_token_id=end,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_blip(
    folder: Path, lines: Sequence[str] = LINES, *, seed: int = 2, text_layers: int = 1, label_smoothing: float = 0.1
) -> None:
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    tokenizer = BertTokenizer().train_new_from_iterator(lines, 120, show_progress=False)
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    tokenizer.model_max_length = POSITIONS
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "projection_dim": WIDTH, "num_attention_heads": 2}
    config = BlipConfig(
        projection_dim=WIDTH,
        image_text_hidden_size=WIDTH,
        text_config={
            **sizes,
            "vocab_size": len(tokenizer),
            "encoder_hidden_size": WIDTH,
            "num_hidden_layers": text_layers,
            "label_smoothing": label_smoothing,
            "max_position_embeddings": POSITIONS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**sizes, "num_hidden_layers": 1, "image_size": SIDE_PX, "patch_size": PATCH_PX},
    )
    torch.manual_seed(seed)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    processor = BlipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    BlipProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)


def save_clip(folder: Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    tokenizer = CLIPTokenizer().train_new_from_iterator(LINES, 400, show_progress=False)
    tokenizer.model_max_length = POSITIONS
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        projection_dim=WIDTH,
        text_config={
            **sizes,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": POSITIONS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**sizes, "image_size": SIDE_PX, "patch_size": PATCH_PX},
    )
    torch.manual_seed(3)
    CLIPModel(config).save_pretrained(folder)
    crop = {"height": SIDE_PX, "width": SIDE_PX}
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE_PX}, crop_size=crop)
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)


def save_sentences(folder: Path) -> None:
    """Save a BERT and the mean over its tokens, as sentence-transformers does."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizer

    tokenizer = BertTokenizer().train_new_from_iterator(LINES, 120, show_progress=False)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
    )
    torch.manual_seed(4)
    bert = folder.with_name(f"{folder.name}.bert")
    BertModel(config).save_pretrained(bert)
    tokenizer.save_pretrained(bert)
    SentenceTransformer(str(bert), device="cpu").save_pretrained(str(folder))  # adds the mean


@pytest.fixture(scope="session")
def tiny_language_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `gpt2`, `blip`, `clip` and `sentences`: random weights in the layout of the hub."""

    def make(folder: Path) -> None:
        save_gpt2(folder / "gpt2")
        save_blip(folder / "blip")
        save_clip(folder / "clip")
        save_sentences(folder / "sentences")

    return made_once(tmp_path_factory, "language_models", make)


# What a model paints in two steps, or with random weights, would not pass for anything; and processors differ in it.
ANYTHING_GOES: dict[str, object] = {
    "min_area": 0.001,
    "max_edge_contact": 1.0,
    "min_visible": 0.0,
    "max_fragments": 1.0,
    "size_range": [0.0, 10.0],
    "max_sharpness": 1e6,
    "min_contrast": 0.0,
    "min_margin": -1.0,
    "max_unlabelled": 1.0,
}


@pytest.fixture(scope="session")
def tiny_config(tiny_sd21: Path) -> dict[str, object]:
    """Top-level keys of a config that paints with the tiny models: noise on noise, so that few objects are found."""
    return {
        "bundle": "sd21",
        "chunk": 2,
        "canvas": {"width": 96, "height": 64},
        "painting": {"steps": 2, "background_negative_prompt": "", "object_negative_prompt": ""},
        "labels": {**ANYTHING_GOES, "max_attempts": 2, "verify": False},
        "prompts": {"enrich": "none"},
        "models": {
            "background": {"folder": str(tiny_sd21 / "background")},
            "inpaint": {"folder": str(tiny_sd21 / "inpaint")},
        },
    }


@pytest.fixture(scope="session")
def small_pocket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket's painter, told that it sees 128 px at once and not 256: a quarter of the work for each object."""

    def make(folder: Path) -> None:
        shutil.copytree(POCKET, folder / "inpaint", copy_function=os.symlink)
        unet = folder / "inpaint" / "unet" / "config.json"
        unet.unlink()
        content = json.loads((POCKET / "unet" / "config.json").read_bytes())
        unet.write_text(json.dumps({**content, "sample_size": content["sample_size"] // 2}))

    return made_once(tmp_path_factory, "small_pocket", make) / "inpaint"


@pytest.fixture(scope="session")
def quick_config(small_pocket: Path) -> dict[str, object]:
    """Top-level keys of a config that paints real objects with the pocket bundle, small and in few steps.

    Whatever it paints is accepted, and the verifier is asked all the same.
    """
    return {
        "chunk": 2,
        "canvas": {"width": 96, "height": 64},
        "models": {"inpaint": {"folder": str(small_pocket)}},
        "painting": {"steps": 2},
        "labels": {**ANYTHING_GOES, "max_attempts": 2},
        "prompts": {"enrich": "none"},
    }


@pytest.fixture()
def short_scale_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn the scale of boxes in a short training: it shows that there is one."""
    from detection.calibration.scale import BoxScaleEstimator

    monkeypatch.setattr(BoxScaleEstimator, "fit", staticmethod(functools.partial(BoxScaleEstimator.fit, steps=40)))


@pytest.fixture()
def run_folder_files():
    """Return a function: folder -> {path: bytes} of all that must be equal between two equal runs."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("report.html", "timings.jsonl", ".lock")
        }

    return read
