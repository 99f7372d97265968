"""What a painter is shown is what the generator will ask of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from detection.painter.samples import Bank, Sample, cannot_be_shown, side_for, usual_frame
from generator.painting.crop import native_mask, resize
from tests.detection.painter.squares import PLAIN, SIDE_PX, photo, square, subject

ONLY_OBJECTS = replace(PLAIN, place_share=0.0, scene_share=0.0)
ONLY_PLACES = replace(PLAIN, place_share=1.0, scene_share=0.0)
ALONE, NEAR = square("cell", 50, 40, 16), square("wall", 66, 40, 12)


def draws(of: object, count: int = 30) -> list[Sample]:
    return [of.draw(np.random.default_rng(seed)) for seed in range(count)]  # type: ignore[attr-defined]


def test_an_object_is_shown_in_the_crop_and_mask_of_the_generator_and_others_are_protected() -> None:
    seen = photo(ALONE, NEAR)
    of = subject(seen, recipe=ONLY_OBJECTS)
    frame = usual_frame(of, seen, ALONE)
    others = np.zeros((frame.crop.height, frame.crop.width), bool)
    others[frame.in_crop(NEAR.box).slices] = True
    mask = native_mask(frame, others)
    for sample in draws(of, 5):
        assert sample.caption == "a cell"
        np.testing.assert_array_equal(sample.pixels, resize(seen.image[frame.crop.slices], (SIDE_PX, SIDE_PX)))
        np.testing.assert_array_equal(sample.mask, mask)
    whole = native_mask(frame, np.zeros_like(others))
    assert 0 < mask.sum() < whole.sum()  # no rectangle: a part of it shows the neighbour


def test_no_object_lies_under_the_mask_of_a_place() -> None:
    objects = [square("cell", 10 + 30 * number, 30, 14) for number in range(4)]
    places = draws(subject(photo(*objects), recipe=ONLY_PLACES))
    assert {sample.caption for sample in places} == {"a quiet place"}
    for sample in places:
        assert (sample.pixels[sample.mask] > 130).all()  # the ground; objects are grey 90


def test_scenes_that_pass_for_empty_teach_nothing_of_their_objects() -> None:
    scenes = draws(subject(photo(ALONE), recipe=replace(PLAIN, place_share=0.0, scene_share=1.0, clear_share=1.0)))
    hiding = [sample for sample in scenes if sample.hidden is not None and sample.hidden.any()]
    assert hiding
    for sample in hiding:
        assert sample.hidden is not None and (sample.pixels[~sample.hidden] > 130).all()
        assert sample.mask.all()


@pytest.mark.parametrize(
    ("turns", "flips", "sides"),
    [(False, False, {"right"}), (False, True, {"left", "right"}), (True, False, {"left", "right", "up", "down"})],
)
def test_photos_are_turned_and_mirrored_only_where_that_is_asked_for(turns: bool, flips: bool, sides: set[str]) -> None:
    def brighter_side(sample: Sample) -> str:
        columns, rows = (np.median(sample.pixels, axis=(axis, 2)) for axis in (0, 1))
        across, down = columns[-1] - columns[0], rows[-1] - rows[0]
        return ("right" if across > 0 else "left") if abs(across) > abs(down) else ("down" if down > 0 else "up")

    recipe = replace(ONLY_PLACES, turns=turns, flips=flips)
    assert {brighter_side(sample) for sample in draws(subject(photo(ALONE), recipe=recipe))} == sides


@pytest.mark.parametrize(
    ("objects", "hidden"),
    [
        ([ALONE], []),
        ([ALONE, square("cell", 56, 44, 16)], ["cell"]),
        ([ALONE, square("cell", 56, 44, 16), square("cell", 10, 10, 16)], []),
        ([square("cell", 2, 2, 92)], ["cell"]),
        ([square("wall", 50, 40, 16)], ["cell"]),
    ],
    ids=["alone", "shared", "one of them alone", "fills its photo", "another class"],
)
def test_what_can_never_be_shown_alone_is_known(objects: list, hidden: list[str]) -> None:
    assert cannot_be_shown(subject(photo(*objects))) == hidden


@pytest.mark.parametrize(("side", "crop"), [(4, 128), (20, 128), (40, 256), (90, 256)])
def test_small_objects_need_no_large_crops(side: int, crop: int) -> None:
    assert side_for([photo(square("cell", 2, 2, side))], {"cell": 1.0}, 0.4, 256) == crop


def test_a_banks_samples_do_not_hang_on_what_they_are_asked_for_with() -> None:
    class Vae:
        """Latents are the means of 8 x 8 px."""

        class config:  # noqa: N801  (as diffusers has it)
            scaling_factor = 1.0

        def encode(self, pictures: torch.Tensor) -> object:
            means = torch.nn.functional.avg_pool2d(pictures.float(), 8)
            latents = torch.cat([means, means[:, :1]], dim=1)
            mode = type("Mode", (), {"mode": staticmethod(lambda: latents)})
            return type("Encoded", (), {"latent_dist": mode})

    of, cpu = subject(photo(ALONE, NEAR)), torch.device("cpu")
    together = Bank(of.draw, Vae(), 7, cpu).rows([5, 0, 3])
    alone = Bank(of.draw, Vae(), 7, cpu).rows([3])
    assert torch.equal(together[2].latents, alone[0].latents) and together[2].caption == alone[0].caption
    assert together[0].latents.shape == (4, SIDE_PX // 8, SIDE_PX // 8)
