"""The plan draws its prompts from the book, and nothing else changes by it."""

from collections import Counter

from generator.config import Config
from generator.plan import Plan, ScenePlan
from generator.prompts.book import BookRow, Enriched, PromptBook, Text
from generator.spec import BackgroundSpec, ClassSpec, Spec

SPEC = Spec(
    backgrounds=(BackgroundSpec(prompt="a field", num_imgs=120), BackgroundSpec(prompt="a wood", num_imgs=80)),
    classes=(
        ClassSpec(prompt="a cow", name="cow", min_appear=1, max_appear=3),
        ClassSpec(prompt="a wolf", name="wolf", min_appear=0, max_appear=2),
        ClassSpec(prompt="a grey wolf", name="wolf", min_appear=0, max_appear=1),
    ),
)
ROWS = [("background", "", "a field"), ("background", "", "a wood")]
ROWS += [("classes", "cow", "a cow"), ("classes", "wolf", "a wolf"), ("classes", "wolf", "a grey wolf")]


def book_of(variants: int, *, rejected: int = 0, rows: list[tuple[str, str, str]] = ROWS) -> PromptBook:
    """Texts such as "a cow 2", which is the third of the row."""

    def texts(prompt: str) -> tuple[Text, ...]:
        kept = [Text(text=f"{prompt} {number}") for number in range(variants)]
        return (*kept, *[Text(text=f"{prompt} bad {number}", rejected="x") for number in range(rejected)])

    page = [BookRow(table=table, name=name, prompt=prompt, texts=texts(prompt)) for table, name, prompt in rows]
    return PromptBook(enriched=Enriched(schema_version=1, models={}, seed=0, parameters={}, rows=tuple(page)))


def plan_of(book: PromptBook | None = None, spec: Spec = SPEC, **config: object) -> Plan:
    return Plan(spec=spec, config=Config(**{"canvas": {"width": 400, "height": 300}, **config}), book=book)


def without_prompts(scene: ScenePlan) -> dict[str, object]:
    data = scene.to_json()
    del data["prompt"]
    for placement in (*data["placements"], *data["decoys"]):
        del placement["prompt"]
    return data


def test_without_a_book_each_row_has_its_own_prompt():
    scenes = list(plan_of())
    assert Counter(scene.prompt for scene in scenes) == {"a field": 120, "a wood": 80}
    assert {one.prompt for scene in scenes for one in scene.placements} == {"a cow", "a wolf", "a grey wolf"}


def test_every_text_of_sixteen_is_used_in_200_scenes():
    scenes = list(plan_of(book_of(16, rejected=3)))
    objects = Counter(one.prompt for scene in scenes for one in scene.placements)
    for prompt in ("a cow", "a wolf", "a grey wolf"):
        assert {f"{prompt} {number}" for number in range(16)} <= objects.keys()
    backgrounds = Counter(scene.prompt for scene in scenes)
    assert {f"a field {number}" for number in range(16)} <= backgrounds.keys()
    assert not any("bad" in prompt for prompt in (*objects, *backgrounds))
    # Even: 16 texts of about 400 cows, 25 each, 5 for one sigma.
    cows = [count for prompt, count in objects.items() if prompt.startswith("a cow")]
    assert min(cows) > 0.4 * sum(cows) / 16
    assert max(cows) < 2 * sum(cows) / 16


def test_boxes_and_seeds_are_the_same_with_any_book():
    plain = [without_prompts(scene) for scene in plan_of()]
    assert [without_prompts(scene) for scene in plan_of(book_of(16))] == plain


def test_the_same_book_gives_the_same_plan_in_any_order():
    one = list(plan_of(book_of(16)))
    plan = plan_of(book_of(16))
    assert [plan.scene(index) for index in reversed(range(200))] == one[::-1]
    other = list(plan_of(book_of(16), seed=1))
    assert [scene.prompt for scene in other] != [scene.prompt for scene in one]


def test_a_row_that_the_book_lacks_keeps_its_prompt():
    plan = plan_of(book_of(3, rows=ROWS[:3]))
    assert {one.prompt for scene in plan for one in scene.placements if one.category == "wolf"} == {
        "a wolf",
        "a grey wolf",
    }


def test_each_text_is_used_as_often_as_the_others():
    spec = Spec(
        backgrounds=(BackgroundSpec(prompt="a field", num_imgs=64),),
        classes=(ClassSpec(prompt="a cow", name="cow", min_appear=1, max_appear=1),),
    )
    plan = plan_of(book_of(16), spec)
    drawn = [(plan.scene(index).prompt, plan.scene(index).placements[0].prompt) for index in range(64)]
    for texts in zip(*drawn, strict=True):
        for start in range(0, 64, 16):
            assert len(set(texts[start : start + 16])) == 16
        assert texts[:16] != texts[16:32]  # another order in each run of scenes


def test_several_objects_of_a_row_in_a_scene_have_different_texts():
    spec = Spec(
        backgrounds=(BackgroundSpec(prompt="a field", num_imgs=20),),
        classes=(ClassSpec(prompt="a cow", name="cow", min_appear=3, max_appear=3),),
    )
    plan = plan_of(book_of(4), spec, placement={"max_overlap": 1.0})
    assert all(len({one.prompt for one in scene.placements}) == 3 for scene in plan)
