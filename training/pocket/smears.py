"""Stained blood smears with Pascal VOC boxes -> photos, cells with measured attributes, and square crops of them.

The photos are those of BCCD (MIT, https://github.com/Shenggan/BCCD_Dataset): red and white blood cells and platelets,
640 x 480 px. Attributes are measured, not guessed: a cell is large or small within its own kind, and dark or pale
against the background of its photo.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from generator.foundation.errors import BoxpaintError
from generator.foundation.geometry import Box, intersection_area, square_around

KINDS = {"WBC": "white blood cell", "Platelets": "platelet", "RBC": "red blood cell"}
STAINED = ("white blood cell", "platelet")
BACKGROUND, SCENE = "background", "scene"
MIN_SIDE_PX = 8
# Middle part of a box in which the stain is measured: its corners hold no cell.
CORE_SHARE = 0.6
SHARES = {"white blood cell": 0.28, "platelet": 0.28, "red blood cell": 0.2, BACKGROUND: 0.12, SCENE: 0.12}
CELL_KINDS = ("white blood cell", "platelet", "red blood cell")
# Smaller ones show one red cell, and are one.
EMPTY_SIDES_PX = (130, 260)
SCENE_SIDES_PX = (260, 480)
# The margin at which painted and reference crops are looked at, and those that are trained on: close to it, because
# how large a cell is shows in its neighbours alone.
MARGIN, MARGINS = 0.25, (0.12, 0.45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One labelled cell. `size` is "large", "small" or "" (between), `tone` "dark", "pale" or ""; `purple` says that it
    is one of the more strongly coloured half of its kind."""

    kind: str
    box: Box
    size: str = ""
    tone: str = ""
    purple: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Smear:
    """One photo (HWC uint8 RGB) and its cells."""

    name: str
    image: np.ndarray
    cells: tuple[Cell, ...]

    def of_kind(self, kind: str) -> list[Cell]:
        """Cells of one kind."""
        return [cell for cell in self.cells if cell.kind == kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What counts as small or large, pale or dark (lower and upper third of each kind in the training photos), and as
    purple (upper half)."""

    side_px: dict[str, tuple[float, float]]
    darkness: dict[str, tuple[float, float]]
    saturation: dict[str, float]


def read_smears(data: Path, splits: Iterable[str]) -> list[Smear]:
    """Read the photos that `<split>.txt` lists. Raises BoxpaintError when the folder is not laid out so."""
    smears = []
    for split in splits:
        for photo, annotation in _listed(data, split):
            image = cv2.imread(str(photo))
            if image is None:
                raise BoxpaintError(f"{data / split}.txt lists {photo.stem!r}, but {photo} cannot be read")
            height, width = image.shape[:2]
            cells = tuple(_read_cells(annotation, (width, height)))
            smears.append(Smear(name=photo.stem, image=cv2.cvtColor(image, cv2.COLOR_BGR2RGB), cells=cells))
    return smears


def files_of(data: Path, splits: Iterable[str]) -> list[Path]:
    """Name the files that `read_smears` reads, photo by photo. Raises BoxpaintError when a list is missing."""
    return [path for split in splits for files in _listed(data, split) for path in files]


def _listed(data: Path, split: str) -> list[tuple[Path, Path]]:
    """Photo and annotation of each line of `<split>.txt`."""
    listing = data / f"{split}.txt"
    if not listing.is_file():
        raise BoxpaintError(
            f"{data}: there is no {split}.txt; --data is a folder with images/, annotations/ (Pascal VOC) and "
            "train.txt, val.txt, test.txt"
        )
    stems = [Path(name).stem for name in listing.read_text(encoding="utf-8").split()]
    return [(data / "images" / f"{stem}.jpg", data / "annotations" / f"{stem}.xml") for stem in stems]


def _read_cells(path: Path, size_wh: tuple[int, int]) -> Iterable[Cell]:
    """Cells of one annotation file, clipped to the photo; degenerate boxes are passed over."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise BoxpaintError(f"{path}: cannot be read as a Pascal VOC annotation ({error})") from None
    for item in root.iter("object"):
        corners = [int(float(item.findtext(f"bndbox/{name}", "0"))) for name in ("xmin", "ymin", "xmax", "ymax")]
        # VOC counts pixels from 1 and includes the last one.
        x_min, y_min = max(0, corners[0] - 1), max(0, corners[1] - 1)
        x_max, y_max = min(size_wh[0], corners[2]), min(size_wh[1], corners[3])
        kind = KINDS.get(item.findtext("name", ""))
        if kind and min(x_max - x_min, y_max - y_min) >= MIN_SIDE_PX:
            yield Cell(kind=kind, box=Box.from_xyxy(x_min, y_min, x_max, y_max))


def measure_limits(smears: Sequence[Smear]) -> Limits:
    """Find the limits of "small", "large", "dark", "pale" and "purple" for each kind."""
    sides: defaultdict[str, list[float]] = defaultdict(list)
    darkness: defaultdict[str, list[float]] = defaultdict(list)
    saturation: defaultdict[str, list[float]] = defaultdict(list)
    for smear in smears:
        light = _light_of(smear.image)
        for cell in smear.cells:
            core = _core(smear.image, cell)
            sides[cell.kind].append(_side_px(cell))
            darkness[cell.kind].append(_darkness(core, light))
            saturation[cell.kind].append(_saturation(core))
    return Limits(
        side_px=_thirds(sides),
        darkness=_thirds(darkness),
        saturation={kind: float(np.median(values)) for kind, values in saturation.items()},
    )


def with_attributes(smears: Sequence[Smear], limits: Limits) -> list[Smear]:
    """Name size, tone and colour of every cell."""
    described = []
    for smear in smears:
        light = _light_of(smear.image)
        cells = []
        for cell in smear.cells:
            low, high = limits.side_px[cell.kind]
            pale, dark = limits.darkness[cell.kind]
            core = _core(smear.image, cell)
            side, darkness = _side_px(cell), _darkness(core, light)
            size = "small" if side <= low else "large" if side >= high else ""
            tone = "pale" if darkness <= pale else "dark" if darkness >= dark else ""
            purple = cell.kind in STAINED and _saturation(core) > limits.saturation[cell.kind]
            cells.append(replace(cell, size=size, tone=tone, purple=purple))
        described.append(replace(smear, cells=tuple(cells)))
    return described


def cells_in_view(smear: Smear, box: Box) -> tuple[int, tuple[str, ...]]:
    """Count the red cells whose centre lies in a part of a photo, and list the other kinds of which a part shows."""
    red = sum(
        box.x_min <= (cell.box.x_min + cell.box.x_max) / 2 < box.x_max
        and box.y_min <= (cell.box.y_min + cell.box.y_max) / 2 < box.y_max
        for cell in smear.of_kind("red blood cell")
    )
    shown = {cell.kind for cell in smear.cells if intersection_area(cell.box, box)}
    return red, tuple(kind for kind in STAINED if kind in shown)


def _thirds(values: dict[str, list[float]]) -> dict[str, tuple[float, float]]:
    return {kind: (float(np.quantile(v, 1 / 3)), float(np.quantile(v, 2 / 3))) for kind, v in values.items()}


def _side_px(cell: Cell) -> float:
    return float(np.sqrt(cell.box.width * cell.box.height))


def _light_of(image: np.ndarray) -> float:
    """Grey value of the empty background of a photo."""
    return float(np.quantile(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 0.9))


def _core(image: np.ndarray, cell: Cell) -> np.ndarray:
    box = cell.box
    inset_x, inset_y = (round(side * (1 - CORE_SHARE) / 2) for side in (box.width, box.height))
    return image[box.y_min + inset_y : box.y_max - inset_y, box.x_min + inset_x : box.x_max - inset_x]


def _darkness(core: np.ndarray, light: float) -> float:
    """Median darkness of the middle of a cell, 0 as bright as the background, 1 black."""
    return 1 - float(np.median(cv2.cvtColor(core, cv2.COLOR_RGB2GRAY))) / light


def _saturation(core: np.ndarray) -> float:
    """Median saturation of the middle of a cell, 0 grey to 255."""
    return float(np.median(cv2.cvtColor(core, cv2.COLOR_RGB2HSV)[..., 1]))


def empty_square(smear: Smear, side: int, rng: np.random.Generator, tries: int = 20) -> Box | None:
    """Find a random square that touches no white cell and no platelet."""
    height, width = smear.image.shape[:2]
    taken = [cell.box for cell in smear.cells if cell.kind != "red blood cell"]
    for _ in range(tries):
        x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in (width, height))
        box = Box.from_xywh(x, y, side, side)
        if not any(intersection_area(box, other) for other in taken):
            return box
    return None


def random_square(smear: Smear, sides_px: tuple[int, int], rng: np.random.Generator) -> Box:
    """Square anywhere in a photo, its side drawn from `sides_px` (pixels) as far as the photo permits."""
    height, width = smear.image.shape[:2]
    low, high = (min(side, height, width) for side in sides_px)
    side = int(rng.integers(low, high, endpoint=True))
    x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in (width, height))
    return Box.from_xywh(x, y, side, side)


def cut(smear: Smear, box: Box, side_px: int) -> np.ndarray:
    """Cut a square out of a photo and bring it to side_px (HWC uint8 RGB)."""
    crop = smear.image[box.slices]
    shrinks = box.width > side_px
    return cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """A square picture (HWC uint8 RGB) and what it shows: a cell, a part without stained cells ("background"), or a
    large part of a photo ("scene", with its number of red cells and the other kinds in view)."""

    pixels: np.ndarray
    kind: str
    size: str = ""
    tone: str = ""
    purple: bool = False
    num_red: int = 0
    others: tuple[str, ...] = ()


def training_crop(
    smears: Sequence[Smear], side_px: int, rng: np.random.Generator, *, kinds: Sequence[str] = tuple(SHARES)
) -> Crop:
    """Draw a crop of a kind drawn by `SHARES`, changed in ways that change nothing about what it shows."""
    shares = np.array([SHARES[kind] for kind in kinds])
    kind = str(rng.choice(kinds, p=shares / shares.sum()))
    while True:
        smear = smears[int(rng.integers(len(smears)))]
        if kind == SCENE:
            return _scene(smear, side_px, rng)
        if kind == BACKGROUND:
            box = empty_square(smear, int(rng.integers(*EMPTY_SIDES_PX)), rng)
            cell = None
        else:
            cells = smear.of_kind(kind)
            cell = cells[int(rng.integers(len(cells)))] if cells else None
            shift = (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.8, 0.8)))
            box = _around(smear, cell, float(rng.uniform(*MARGINS)), shift) if cell else None
        if box is not None:
            break
    pixels = _varied(cut(smear, box, side_px), rng)
    return _described(pixels, kind, cell)


def held_out_crops(smears: Sequence[Smear], side_px: int, rng: np.random.Generator) -> list[Crop]:
    """Cut every white cell and platelet, and as many red cells and empty places as there are platelets, unchanged."""
    crops: list[Crop] = []
    of_kind = {kind: [(smear, cell) for smear in smears for cell in smear.of_kind(kind)] for kind in CELL_KINDS}
    fair = max(1, len(of_kind["platelet"]))
    red = of_kind["red blood cell"]
    of_kind["red blood cell"] = [red[int(i)] for i in rng.choice(len(red), min(fair, len(red)), replace=False)]
    for kind, cells in of_kind.items():
        for smear, cell in cells:
            crops.append(_described(cut(smear, _around(smear, cell, MARGIN, (0, 0)), side_px), kind, cell))
    for number in range(fair):
        smear = smears[number % len(smears)]
        box = empty_square(smear, int(rng.integers(*EMPTY_SIDES_PX)), rng)
        if box is not None:
            crops.append(_described(cut(smear, box, side_px), BACKGROUND, None))
    return crops


def _around(smear: Smear, cell: Cell, margin: float, shift: tuple[float, float]) -> Box:
    height, width = smear.image.shape[:2]
    return square_around(cell.box, margin=margin, size_wh=(width, height), shift=shift)


def _scene(smear: Smear, side_px: int, rng: np.random.Generator) -> Crop:
    height, width = smear.image.shape[:2]
    side = min(int(rng.integers(*SCENE_SIDES_PX, endpoint=True)), width, height)
    x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in (width, height))
    box = Box.from_xywh(x, y, side, side)
    num_red, others = cells_in_view(smear, box)
    return Crop(pixels=_varied(cut(smear, box, side_px), rng), kind=SCENE, num_red=num_red, others=others)


def _described(pixels: np.ndarray, kind: str, cell: Cell | None) -> Crop:
    if cell is None:
        return Crop(pixels=pixels, kind=kind)
    return Crop(pixels=pixels, kind=kind, size=cell.size, tone=cell.tone, purple=cell.purple)


def _varied(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip, turn, soften, and shift the colours a little: less than what tells dark from pale."""
    pixels = np.rot90(pixels, int(rng.integers(4)))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.5:  # painted crops come through a VAE that smooths fine speckle
        pixels = cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), float(rng.uniform(0.3, 1.5)))
    gain = rng.uniform(0.94, 1.06, 3) * rng.uniform(0.92, 1.08)
    varied: np.ndarray = np.clip(pixels * gain + rng.uniform(-8, 8, 3), 0, 255).astype(np.uint8)
    return varied
