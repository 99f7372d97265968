"""Can a probe find where was painted? Ways of putting the same painted crops into the same pictures, compared.

    python -m benchmarks.leak [--scenes 312] [--network] [--only default ...]

Scenes of the root scenario. Backgrounds and crops are painted once and kept in --cache; objects and decoys are painted
on the bare background, and those whose regions meet are left out, so that every way is given the same crops. Columns as
in `boxpaint audit`: a probe tells decoys from untouched places; objects, their own pixels hidden, from untouched
places; and objects from places of which every other is a decoy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from benchmarks import Results, auc_text, make_parser, root_spec
from generator.audit.leak import KINDS, LeakReport, PaintedPlaces, draw_suspicious, hidden_pixels
from generator.audit.places import Place
from generator.config import Config
from generator.foundation.geometry import intersection_area
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer, make_folder
from generator.painting.crop import CropFrame, native_mask, repainted_region, to_canvas, to_native
from generator.painting.diffusion import decode, encode
from generator.painting.finish import add_sensor_noise, finish_pictures
from generator.painting.painter import BackgroundJob, InpaintJob, Painting
from generator.painting.scene_state import frame_for
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.painting.stitch import stitch
from generator.plan import Placement, Plan, ScenePlan

BATCH_SCENES = 8
JPEG_QUALITY = 85

Finish = Callable[[Sequence[np.ndarray], Sequence[ScenePlan]], list[np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """One crop as it was painted, at the model's size (HWC uint8); `mask` (HW bool, of the canvas) is the object."""

    placement: Placement
    frame: CropFrame
    pixels: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """A bare background (HWC uint8) and the crops painted on it, whose regions do not meet."""

    plan: ScenePlan
    background: np.ndarray
    patches: tuple[Patch, ...]


def materials(plan: Plan, painter: StableDiffusionPainter, cache: Path) -> list[Material]:
    """Paint what is not in the cache yet, and read all of it."""
    make_folder(cache)
    missing = [index for index in range(len(plan)) if not _path(cache, index).exists()]
    for start in track(range(0, len(missing), BATCH_SCENES), "painting", disable=not missing):
        _paint([plan.scene(index) for index in missing[start : start + BATCH_SCENES]], painter, cache)
    return [_read(plan.scene(index), painter, cache) for index in range(len(plan))]


def _path(cache: Path, index: int) -> Path:
    return cache / f"{index:06d}.npz"


def _frames(scene: ScenePlan, painter: StableDiffusionPainter) -> Iterator[tuple[Placement, CropFrame]]:
    taken: list[CropFrame] = []
    for placement in (*scene.placements, *scene.decoys):
        frame = frame_for(placement.box, painter)
        region = frame.region_on_canvas()
        if not any(intersection_area(region, other.region_on_canvas()) for other in taken):
            taken.append(frame)
            yield placement, frame


def object_job(placement: Placement, frame: CropFrame, background: np.ndarray, *, seed: int) -> InpaintJob:
    """What a painter needs to paint an object on a bare background (HWC uint8)."""
    return InpaintJob(
        prompt=placement.prompt,
        negative_prompt=placement.negative_prompt,
        seed=seed,
        size_wh=frame.native_wh,
        image=to_native(background[frame.crop.slices], frame),
        mask=native_mask(frame, np.zeros((frame.crop.height, frame.crop.width), bool)),
    )


def _paint(scenes: Sequence[ScenePlan], painter: StableDiffusionPainter, cache: Path) -> None:
    backgrounds = painter.paint_backgrounds(
        [
            BackgroundJob(
                prompt=scene.prompt,
                negative_prompt=scene.negative_prompt,
                seed=derive_seed(scene.seed, 0),
                size_wh=painter.config.canvas_wh,
            )
            for scene in scenes
        ]
    )
    owners: list[tuple[int, int]] = []
    jobs: list[InpaintJob] = []
    for number, (scene, background) in enumerate(zip(scenes, backgrounds, strict=True)):
        for placement, frame in _frames(scene, painter):
            owners.append((number, placement.object_index))
            jobs.append(object_job(placement, frame, background.pixels, seed=derive_seed(placement.seed, 0, 0)))
    painted = dict(zip(owners, painter.inpaint(jobs), strict=True))
    for number, (scene, background) in enumerate(zip(scenes, backgrounds, strict=True)):
        crops = {f"p{index}": each.pixels for (owner, index), each in painted.items() if owner == number}
        with atomic_writer(_path(cache, scene.index)) as stream:
            np.savez(stream, background=background.pixels, **crops)


def _read(scene: ScenePlan, painter: StableDiffusionPainter, cache: Path) -> Material:
    with np.load(_path(cache, scene.index)) as stored:
        background = stored["background"]
        patches = []
        for placement, frame in _frames(scene, painter):
            pixels, crop = stored[f"p{placement.object_index}"], frame.crop
            before = background[crop.slices]
            evidence = stitch(
                before,
                Painting(pixels=pixels, fault=""),
                frame,
                placement,
                protected=np.zeros(before.shape[:2], bool),
                rng=derive_rng(placement.seed, 0, 1),
                settings=painter.config.painting,
            ).evidence
            mask = np.zeros(background.shape[:2], bool)
            mask[crop.slices] = evidence.label_mask
            patches.append(Patch(placement=placement, frame=frame, pixels=pixels, mask=mask))
    return Material(plan=scene, background=background, patches=tuple(patches))


def raw_paste(patch: Patch, before: np.ndarray) -> np.ndarray:
    """The repainted rectangle as it is, colours and all."""
    region = repainted_region(patch.frame)
    pasted = before.copy()
    pasted[region] = to_canvas(patch.pixels, patch.frame)[region]
    return pasted


def blended(config: Config, blender: str | None = None, **changes: object) -> Callable[[Patch, np.ndarray], np.ndarray]:
    """Blend as the product does, by one blender or (None) by that of the plan, with other settings."""
    settings = config.painting.model_copy(update=changes)

    def put(patch: Patch, before: np.ndarray) -> np.ndarray:
        return stitch(
            before,
            Painting(pixels=patch.pixels, fault=""),
            patch.frame,
            replace(patch.placement, blender=blender or patch.placement.blender),
            protected=np.zeros(before.shape[:2], bool),
            rng=derive_rng(patch.placement.seed, 0, 1),
            settings=settings,
        ).pixels

    return put


def _pictures(
    all_materials: Sequence[Material], put: Callable[[Patch, np.ndarray], np.ndarray], finish: Finish
) -> Iterator[tuple[Material, np.ndarray]]:
    for start in range(0, len(all_materials), BATCH_SCENES):
        batch, pictures = all_materials[start : start + BATCH_SCENES], []
        for material in batch:
            pictures.append(material.background.copy())
            for patch in material.patches:
                crop = patch.frame.crop.slices
                pictures[-1][crop] = put(patch, pictures[-1][crop])
        yield from zip(batch, finish(pictures, [material.plan for material in batch]), strict=True)


def audit(
    all_materials: Sequence[Material], put: Callable[[Patch, np.ndarray], np.ndarray], finish: Finish, *, network: bool
) -> LeakReport:
    """Put the crops in, finish the pictures and let the probes look."""
    painted = PaintedPlaces()
    for number, (material, picture) in enumerate(_pictures(all_materials, put, finish)):
        decoys, objects = [], []
        for patch in material.patches:
            box = patch.frame.region_on_canvas()
            if patch.placement.is_decoy:
                hidden = None
            elif patch.mask.any():
                hidden = hidden_pixels(patch.mask)[box.slices]
            else:  # nothing came of it: no object, and no decoy either
                continue
            (decoys if patch.placement.is_decoy else objects).append(
                Place(
                    picture=picture,
                    box=box,
                    group=number,
                    is_painted=True,
                    hidden=hidden,
                    category=patch.placement.category,
                )
            )
        painted.add_picture(decoys, objects, derive_rng(0, material.plan.index))
    return painted.probe(seed=0, with_network=network)


def jpeg(picture: np.ndarray) -> np.ndarray:
    """Once through JPEG."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def ways(
    config: Config, painter: StableDiffusionPainter
) -> dict[str, tuple[Callable[[Patch, np.ndarray], np.ndarray], Finish]]:
    """Every row of the table: how crops are put in, and what is done to the whole picture afterwards."""
    redrawn: dict[int, np.ndarray] = {}

    def nothing(pictures: Sequence[np.ndarray], _scenes: Sequence[ScenePlan]) -> list[np.ndarray]:
        return list(pictures)

    def one_by_one(change: Callable[[np.ndarray], np.ndarray]) -> Finish:
        return lambda pictures, _scenes: [change(picture) for picture in pictures]

    def coded(picture: np.ndarray) -> np.ndarray:
        model = painter.inpaint_model
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        back = decode(model, encode(model, pixels))[0].permute(1, 2, 0).numpy()
        return np.clip(np.rint((back + 1) * 127.5), 0, 255).astype(np.uint8)

    def finished(**changes: object) -> Finish:
        changed = copy.copy(painter)
        changed.config = config.model_copy(update={"painting": config.painting.model_copy(update=changes)})
        return lambda pictures, scenes: finish_pictures(pictures, scenes, changed)

    def redrawn_once(pictures: Sequence[np.ndarray], scenes: Sequence[ScenePlan]) -> list[np.ndarray]:
        if scenes[0].index not in redrawn:
            new = finished(sensor_noise=0.0)(pictures, scenes)
            redrawn.update((scene.index, picture) for scene, picture in zip(scenes, new, strict=True))
        return [redrawn[scene.index] for scene in scenes]

    def noisy(pictures: Sequence[np.ndarray], scenes: Sequence[ScenePlan]) -> list[np.ndarray]:
        return [add_sensor_noise(picture, noise, scene.seed) for picture, scene in zip(pictures, scenes, strict=True)]

    noise = config.painting.sensor_noise
    mixed = blended(config)
    return {
        "raw paste": (raw_paste, nothing),
        "feather": (blended(config, "feather"), nothing),
        "pyramid": (blended(config, "pyramid"), nothing),
        "Poisson": (blended(config, "poisson"), nothing),
        "mixed": (mixed, nothing),
        "mixed, colours not matched": (blended(config, match_colour=False), nothing),
        "mixed, JPEG": (mixed, one_by_one(jpeg)),
        "mixed, noise": (mixed, noisy),
        "mixed, VAE": (mixed, one_by_one(coded)),
        "mixed, redrawn": (mixed, redrawn_once),
        "default: mixed, redrawn, noise": (
            mixed,
            lambda pictures, scenes: noisy(redrawn_once(pictures, scenes), scenes),
        ),
        "raw paste, redrawn, noise": (raw_paste, finished()),
    }


def main() -> None:
    """Paint, probe and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, default=312)
    parser.add_argument("--cache", type=Path, default=Path("runs/leak"))
    parser.add_argument("--network", action="store_true", help="train the small network, too: minutes for each row")
    parser.add_argument("--only", nargs="+", default=[""], help="rows that begin with one of these words")
    arguments = parser.parse_args()
    config = Config()
    painter = StableDiffusionPainter(config)
    plan = Plan(spec=root_spec(config.canvas_wh, arguments.scenes), config=config)
    everything = materials(plan, painter, arguments.cache / str(arguments.scenes))
    title = f"{len(everything)} scenes: AUC of the better probe, with its 95 % interval"
    with Results(title, "way", *KINDS) as table:
        for name, (put, finish) in ways(config, painter).items():
            if not name.startswith(tuple(arguments.only)):
                continue
            report = audit(everything, put, finish, network=arguments.network)
            findings = [report.audit.found[kind] for kind in KINDS]
            table.add(name, *(auc_text(found.leak) if found and found.leak else "too few" for found in findings))
            picture = draw_suspicious(report.suspicious)
            if picture is not None:
                picture.save(arguments.cache / f"{name.replace(' ', '_').replace(':', '').replace(',', '')}.png")


if __name__ == "__main__":
    main()
