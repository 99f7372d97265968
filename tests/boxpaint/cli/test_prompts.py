"""The prompt book on the command line: made, shown, edited, given on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boxpaint.terminal import boxpaint, nothing_written

CLASSES = "prompt,min_appear,max_appear,name,references\na brown cow [Bos],1,2,cow,photos\na grey wolf,0,1,wolf,\n"
NO_MODELS = "bundle: sd21\noffline: true\n"


@pytest.fixture()
def farm(tmp_path: Path, tiny_language_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with CSV files, photos, attributes and a config of tiny models."""
    from PIL import Image

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "background.csv").write_text("prompt,num_imgs\na green field,20\n")
    (tmp_path / "classes.csv").write_text(CLASSES)
    (tmp_path / "attributes.csv").write_text("attribute,text\nlight,at dusk\nlight,at noon\n")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30), (120, 80, 40)).save(tmp_path / "photos" / "one.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    names = {"captioner": "blip", "enricher": "gpt2", "embedder": "sentences"}
    config = {
        "bundle": "sd21",
        "offline": True,
        "device": "cpu",
        "canvas": {"width": 96, "height": 64},
        "models": {role: {"folder": str(tiny_language_models / name)} for role, name in names.items()},
        "prompts": {"variants": 4, "min_similarity": -1.0, "max_similarity": 1.0, "max_words": 12},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_book_is_made_shown_edited_and_given_on(farm: Path) -> None:
    made = boxpaint("prompts", cwd=farm).says(
        "scene: a green field",
        "cow: a brown cow [Bos]",  # brackets are no markup
        "wolf: a grey wolf",
        "in use, rejected:",
        "cow: 1 captions of photos, 1 pictures skipped",
        "bad.png: skipped, is no picture",
        "wrote prompts/enriched.json",
        "boxpaint generate --prompts prompts",
    )
    book = contents(farm / "prompts")
    assert list(book) == ["captions.json", "enriched.json"]
    rows = json.loads(book["enriched.json"])["rows"]
    for text in (item["text"] for row in rows for item in row["texts"] if not item["rejected"]):
        assert text.split(",")[0] in made

    # A second time it is the same, and no conflict.
    boxpaint("prompts", cwd=farm).says()
    assert contents(farm / "prompts") == book

    # A person's work is not replaced.
    rows[2]["texts"] = [{"text": "a lone wolf of my own"}]
    edited = json.dumps({**json.loads(book["enriched.json"]), "rows": rows})
    (farm / "prompts" / "enriched.json").write_text(edited)
    boxpaint("prompts", cwd=farm).refuses(
        "enriched.json", "holds another book", "--out", "--overwrite", "--prompts prompts"
    )
    assert (farm / "prompts" / "enriched.json").read_text() == edited

    # It can be shown and planned from without a model.
    shown = boxpaint("prompts", "--prompts", "prompts", cwd=farm).says("a lone wolf of my own", "edited")
    assert "wrote" not in shown
    boxpaint("plan", "--prompts", "prompts/enriched.json", cwd=farm).says()
    lines = [json.loads(line) for line in (farm / "plan" / "plan.jsonl").read_text().splitlines()]
    wolves = {one["prompt"] for line in lines for one in line["placements"] if one["category"] == "wolf"}
    assert wolves == {"a lone wolf of my own"}
    cows = {one["prompt"] for line in lines for one in line["placements"] if one["category"] == "cow"}
    assert {"a brown cow [Bos], at dusk", "a brown cow [Bos], at noon"} < cows

    boxpaint("prompts", "--overwrite", cwd=farm).says()
    assert contents(farm / "prompts") == book


def test_showing_and_planning_load_no_torch(farm: Path) -> None:
    row = '{"table": "%s", "name": "%s", "prompt": "%s", "texts": [{"text": "%s"}]}'
    rows = [
        ("background", "", "a green field"),
        ("classes", "cow", "a brown cow [Bos]"),
        ("classes", "wolf", "a grey wolf"),
    ]
    page = ", ".join(row % (*key, key[2]) for key in rows)
    (farm / "book.json").write_text(
        f'{{"schema_version": 1, "models": {{}}, "seed": 0, "parameters": {{}}, "rows": [{page}]}}'
    )
    code = (
        "import sys\n"
        "from boxpaint.cli import app\n"
        "app(['prompts', '--prompts', 'book.json'], standalone_mode=False)\n"
        "app(['plan', '--prompts', 'book.json'], standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=farm, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "files", "words"),
    [
        (["prompts", "--prompts", "none.json"], {}, ["none.json", "no such file", "boxpaint prompts makes it"]),
        (["prompts", "--prompts", "bad.json"], {"bad.json": "{\n]"}, ["bad.json:2", "is not JSON"]),
        (["plan", "--prompts", "bad.json"], {"bad.json": "[]"}, ["bad.json", "dictionary"]),
        (
            ["generate", "--prompts", "bad.json"],
            {"bad.json": '{"seed": "x"}'},
            ["faults:", "bad.json", "'seed'", "'rows'"],
        ),
        (
            ["generate", "--prompts", "book.json"],
            {"book.json": '{"schema_version": 1, "models": {}, "seed": 0, "parameters": {}, "rows": []}'},
            ["book.json", "wolf: a grey wolf", "has no texts in the book"],
        ),
        (["check-spec", "--attributes", "none.csv"], {}, ["none.csv", "no such file"]),
        (
            ["check-spec", "--attributes", "mine.csv"],
            {"mine.csv": "attribute,text,applies_to\nlight,at dusk,cows\n"},
            ["mine.csv:2", "applies_to", "'cows'", "background, objects, cow, wolf"],
        ),
        (
            ["check-spec"],
            {"classes.csv": CLASSES.replace("photos", "foto")},
            ["classes.csv:2", "'foto'", "no such folder"],
        ),
        # Before a model is loaded: there is none here.
        (["prompts", "--out", "classes.csv"], {"config.yaml": NO_MODELS}, ["classes.csv", "choose another folder"]),
        (
            ["prompts", "--out", "classes.csv/book"],
            {"config.yaml": NO_MODELS},
            ["is a file, not a folder", "choose another folder"],
        ),
        (["prompts"], {"config.yaml": "bundle: pocket\n"}, ["background.csv:2: 'green', 'field'", "sd21", "--force"]),
        (
            ["prompts"],
            {
                "config.yaml": "bundle: sd21\ndevice: cpu\nmodels: {embedder: null}\n",
                "classes.csv": CLASSES.replace("photos", ""),
            },
            ["models.embedder", "needs an embedder"],
        ),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    farm: Path, arguments: list[str], files: dict[str, str], words: list[str]
) -> None:
    for name, text in files.items():
        (farm / name).write_text(text)
    with nothing_written(farm):
        boxpaint(*arguments, cwd=farm).refuses(*words)


def test_edited_captions_are_gone_on_from_without_the_photos(farm: Path) -> None:
    boxpaint("prompts", cwd=farm).says()
    captions = json.loads((farm / "prompts" / "captions.json").read_text())
    captions["rows"][0]["captions"][0]["text"] = "a cow [Bos] in deep snow"
    (farm / "mine.json").write_text(json.dumps(captions))
    for photo in (farm / "photos").iterdir():
        photo.unlink()
    boxpaint("prompts", "--out", "other", cwd=farm).refuses("classes.csv:2: column 'references': found 'photos'")
    boxpaint("prompts", "--captions", "mine.json", "--out", "other", cwd=farm).says()
    texts = json.loads((farm / "other" / "enriched.json").read_text())["rows"][1]["texts"]
    assert [item["source"] for item in texts if item["text"] == "a cow [Bos] in deep snow"] == ["caption"]


def test_a_book_that_breaks_the_rules_is_shown_with_a_warning(farm: Path) -> None:
    boxpaint("prompts", cwd=farm).says()
    path = farm / "prompts" / "enriched.json"
    book = json.loads(path.read_text())
    book["rows"][1]["texts"].append({"text": "two cows next to a wolf"})
    path.write_text(json.dumps(book))
    boxpaint("prompts", "--prompts", "prompts", cwd=farm).says(
        "warning: cow: 'two cows next to a wolf': names another class: wolf"
    )
