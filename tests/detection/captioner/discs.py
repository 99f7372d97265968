"""Coloured discs with captions, and a BLIP of random weights that is small enough to learn them in seconds."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from tests.conftest import save_blip

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
    """Save a BLIP checkpoint of random weights that knows the words of the captions."""
    words = [f"a {size} {colour} disc one that is" for size in SIZES for colour in COLOURS]
    save_blip(folder, words, seed=0, text_layers=2, label_smoothing=0.0)
    return folder
