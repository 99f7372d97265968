"""Coloured discs with captions, and a BLIP of random weights that is small enough to learn them in seconds."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (30, 50, 220)}
SIZES = {"small": 5, "large": 13}
SIDE = 32


def draw_disc(colour: str, size: str, *, shift: int = 0) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), (240, 240, 235))
    centre, radius = SIDE // 2 + shift, SIZES[size]
    ImageDraw.Draw(picture).ellipse(
        (centre - radius, centre - radius, centre + radius, centre + radius), fill=COLOURS[colour]
    )
    return picture


def write_discs(folder: Path, *, copies: int) -> Path:
    """Write folder/images and folder/captions.csv: two captions for each disc; returns the table."""
    images = folder / "images"
    images.mkdir(parents=True)
    lines = ["image,caption"]
    for copy in range(copies):
        for colour in COLOURS:
            for size in SIZES:
                name = f"{colour}_{size}_{copy}.png"
                draw_disc(colour, size, shift=copy % 5 - 2).save(images / name)
                lines += [f"{name},a {size} {colour} disc", f"{name},one {size} disc that is {colour}"]
    table = folder / "captions.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def save_tiny_blip(folder: Path) -> Path:
    """Save a BLIP checkpoint of random weights, as the hub lays it out."""
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    words = [f"a {size} {colour} disc one that is" for size in SIZES for colour in COLOURS]
    tokenizer = BertTokenizer().train_new_from_iterator(words, 120, show_progress=False)
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    tokenizer.model_max_length = 32
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(
        BlipConfig(
            projection_dim=32,
            image_text_hidden_size=32,
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 32,
                "encoder_hidden_size": 32,
                "intermediate_size": 64,
                "projection_dim": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "max_position_embeddings": 32,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.sep_token_id,
                "sep_token_id": tokenizer.sep_token_id,
                "pad_token_id": tokenizer.pad_token_id,
                "label_smoothing": 0.0,
            },
            vision_config={
                "hidden_size": 32,
                "intermediate_size": 64,
                "projection_dim": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": SIDE,
                "patch_size": 8,
            },
        )
    )
    model.save_pretrained(folder)
    image_processor = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    BlipProcessor(image_processor=image_processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder
