"""The pages without a browser: what they show, and that a mistake or somebody's markup is shown as text."""

from __future__ import annotations

import contextlib
import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from boxpaint.studio import jobs
from boxpaint.studio.jobs import JobFile
from boxpaint.studio.views.parts import job_key, plain
from boxpaint.studio.workspace import Workspace
from generator.dataset.review import REVIEW, Decision, decide
from tests.boxpaint.studio.conftest import save_detector_run

pytestmark = pytest.mark.slow  # each page is run by Streamlit

HOSTILE = "<script>alert(1)</script> ![x](http://example.com/x.png)"


def script(page: str) -> None:
    import importlib
    from pathlib import Path

    from boxpaint.studio.views.parts import show_error
    from boxpaint.studio.workspace import Workspace
    from generator.foundation.errors import BoxpaintError

    try:
        importlib.import_module(f"boxpaint.studio.views.{page}").show(Workspace(Path.cwd()))
    except BoxpaintError as error:
        show_error(error)


Open = Callable[[str], AppTest]


@pytest.fixture()
def open_page(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.chdir(workspace.folder)
    # Streamlit puts its script in this place and leaves it there; processes that later tests start would look for it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    def opened(page: str) -> AppTest:
        app = AppTest.from_function(script, args=(page,), default_timeout=120).run()
        assert not app.exception
        return app

    return opened


@pytest.fixture()
def data_set(workspace: Workspace, painted: Path) -> Path:
    return Path(shutil.copytree(painted, workspace.folder / "dataset"))


def write_job(workspace: Workspace, arguments: tuple[str, ...], out: str = "out", total: int = 3) -> Path:
    """The file of a run that has ended."""
    job = JobFile(arguments=arguments, out=out, pid=2**22 + 1, created=0.0, begun=0.0, total=total)
    path = workspace.own_folder() / f"generate {out}.json"
    path.write_text(job.model_dump_json())
    return path


def button_of(app: AppTest, label: str) -> Any:
    (button,) = [each for each in app.button if each.label == label]
    return button


def texts(app: AppTest) -> list[str]:
    return [each.value for each in app.text]


def test_an_empty_folder_offers_scenarios(workspace: Workspace, open_page: Open) -> None:
    for path in workspace.folder.iterdir():
        path.unlink()
    app = open_page("scenario")
    app.selectbox[0].select("pets")
    app.button[0].click().run()
    assert not app.exception
    assert (workspace.folder / "classes.csv").is_file()
    assert "Planned boxes" in [each.value for each in app.subheader]


def test_the_scenario_shows_its_plan(open_page: Open) -> None:
    app = open_page("scenario")
    assert "40 pictures of 96 x 64 px; the first 12:" in texts(app)
    assert not app.error


def test_a_broken_file_is_one_message(workspace: Workspace, open_page: Open) -> None:
    (workspace.folder / "background.csv").write_text("prompt\na smear\n")
    (message,) = open_page("scenario").error
    assert "num\\_imgs" in message.value


def test_a_broken_config_is_one_message_on_every_page(workspace: Workspace, open_page: Open) -> None:
    (workspace.folder / "config.yaml").write_text("seeed: 1\n")
    for page in ("scenario", "generate", "analyse"):
        (message,) = open_page(page).error
        assert "seeed" in message.value


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", ".hidden"])
def test_a_run_stays_in_the_folder(workspace: Workspace, open_page: Open, name: str) -> None:
    app = open_page("generate")
    app.text_input[0].input(name)
    app.button[0].click().run()
    (message,) = app.error
    assert "name of a folder is needed" in message.value
    assert not list(workspace.folder.glob(".boxpaint/*.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("app", "/", "--host", "0.0.0.0"),
        ("generate", "--out", "../out", "--limit", "3", "--seed", "0"),
        ("generate", "--out", "out", "--limit", "3", "--seed", "0", "--overwrite"),
    ],
)
def test_only_what_the_page_begins_is_begun_again(
    workspace: Workspace, open_page: Open, arguments: tuple[str, ...]
) -> None:
    """A file of a job may have come with somebody's folder."""
    path = write_job(workspace, arguments)
    before = path.read_bytes()
    app = open_page("generate")
    button_of(app, "Go on").click().run()
    assert app.error
    assert path.read_bytes() == before
    assert not list(workspace.folder.parent.glob("out"))


def test_a_run_goes_on_by_the_same_command(
    workspace: Workspace, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("generate", "--out", "out", "--limit", "3", "--seed", "7", "--prompts", "prompts", "--force")
    write_job(workspace, arguments)
    begun = []
    monkeypatch.setattr(jobs, "start", lambda _, name, arguments, **__: begun.append((name, arguments)))
    app = open_page("generate")
    button_of(app, "Go on").click().run()
    assert not app.error
    assert begun == [("generate out", arguments)]


def test_words_that_the_bundle_never_learned_need_a_click(
    workspace: Workspace, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    monkeypatch.setattr(jobs, "start", lambda _, name, arguments, **__: begun.append((name, tuple(arguments))))
    assert not [each.label for each in open_page("generate").checkbox if "never learned" in each.label]
    path = workspace.folder / "classes.csv"
    path.write_text(path.read_text().replace("platelet", "zebra"))
    for page, label in (("generate", "Start"), ("scenario", "Make the book")):
        app = open_page(page)
        (force,) = [each for each in app.checkbox if "never learned" in each.label]
        force.check()
        button_of(app, label).click().run()
    arguments = ("generate", "--out", "dataset", "--limit", "40", "--seed", "0", "--force")
    assert begun == [("generate dataset", arguments), ("prompt book", ("prompts", "--out", "prompts", "--force"))]


def test_a_run_of_which_nothing_is_missing_does_not_go_on(
    workspace: Workspace, data_set: Path, open_page: Open
) -> None:
    def begun(total: int) -> list[str]:
        write_job(workspace, ("generate", "--out", "dataset", "--limit", str(total), "--seed", "0"), "dataset", total)
        return [button.label for button in open_page("generate").button]

    assert "Go on" not in begun(3)
    assert "Go on" in begun(4)
    decide(data_set, ["white blood cell"], Decision(scene=0, object_index=0, attempt=0, decision="reject"))
    assert "Go on" in begun(3)
    (data_set / REVIEW).unlink()
    (data_set / "report.html").unlink()  # it was killed just before its end
    assert "Go on" in begun(3)


@contextlib.contextmanager
def at_work(workspace: Workspace, name: str, log: str) -> Iterator[None]:
    """A job that runs, has said something, and does not mind being asked to stop."""
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; sleep 60"], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        created = psutil.Process(child.pid).create_time()
        job = JobFile(arguments=("generate",), out="out", pid=child.pid, created=created, begun=created, total=3)
        (workspace.own_folder() / f"{name}.json").write_text(job.model_dump_json())
        (workspace.own_folder() / f"{name}.log").write_text(log)
        yield
    finally:
        child.kill()
        child.wait()


def test_a_run_says_what_it_does_and_that_it_is_stopping(workspace: Workspace, open_page: Open) -> None:
    with at_work(workspace, "generate out", "prompt book: 5 texts\npainting: backgrounds 2\n\n"):
        app = open_page("generate")
        assert app.get("progress")[0].proto.text == "0 of 3 pictures; painting\\:\u2060 backgrounds 2"
        assert not app.info
        app.button(key="stop generate out").click().run()
        assert not app.exception
        (said,) = app.info
        assert "Stopping" in said.value
        assert app.button(key="stop generate out").label == "Stop at once"


def show_object(app: AppTest, data_set: Path, number: int = 0) -> None:
    """Open an object of the first scene, as a click on it does."""
    app.session_state["object"] = (str(data_set), 0, number)
    app.run()
    assert not app.exception


def test_an_object_waits_for_its_scene_before(workspace: Workspace, data_set: Path, open_page: Open) -> None:
    record = json.loads((data_set / "records" / "000000.json").read_bytes())
    app = open_page("data_set")
    with at_work(workspace, f"before {job_key(record['sha256'])}", "loading models\n"):
        show_object(app, data_set)
    assert "loading models" in texts(app)


def test_pages_of_what_is_not_there_say_so(open_page: Open) -> None:
    assert "There is no painted data set" in texts(open_page("data_set"))[0]
    assert "There is no training" in texts(open_page("proof"))[0]
    assert "Give a photo" in texts(open_page("analyse"))[0]


def test_an_object_is_opened_and_reviewed(data_set: Path, open_page: Open) -> None:
    app = open_page("data_set")
    show_object(app, data_set)
    assert "a large purple white blood cell" in texts(app)
    app.button(key="reject").click().run()
    assert not app.exception
    (decision,) = json.loads((data_set / REVIEW).read_text())["decisions"]
    assert decision == {"scene": 0, "object_index": 0, "attempt": 0, "decision": "reject"}
    assert "object" not in app.session_state, "it is closed"
    show_object(app, data_set)
    assert "rejected" in texts(app)


def test_filters_leave_what_fits(data_set: Path, open_page: Open) -> None:
    app = open_page("data_set")
    app.multiselect[0].select("platelet")
    app.multiselect[1].select("accepted")
    app.run()
    assert "0 labels in 0 of 3 pictures" in texts(app)


def test_a_dropped_object_is_no_label(data_set: Path, open_page: Open) -> None:
    objects = [
        item
        for path in (data_set / "records").glob("*.json")
        for item in json.loads(path.read_bytes())["objects"]
        if item["painted_box"]
    ]
    app = open_page("data_set")
    assert f"{len(objects)} labels, 1 dropped in 3 of 3 pictures" in texts(app)
    app.multiselect[1].select("dropped").run()
    assert "0 labels, 1 dropped in 1 of 3 pictures" in texts(app)


def test_markup_in_names_and_prompts_is_shown_as_text(data_set: Path, open_page: Open) -> None:
    path = data_set / "records" / "000000.json"
    record = json.loads(path.read_text())
    item = record["objects"][0]
    item["category"] = item["prompt"] = HOSTILE
    path.write_text(json.dumps(record))
    run = json.loads((data_set / "run.json").read_text())
    run["spec"]["classes"][0]["name"] = HOSTILE
    (data_set / "run.json").write_text(json.dumps(run))
    app = open_page("data_set")
    show_object(app, data_set)
    assert HOSTILE in texts(app)  # st.text takes it letter by letter
    for each in (*app.caption, *app.markdown):
        assert "<script>" not in each.value
        assert "](http" not in each.value
    assert not any(each.allow_html for each in app.markdown)


def test_a_renamed_object_counts_as_what_it_is(data_set: Path, open_page: Open) -> None:
    app = open_page("data_set")
    show_object(app, data_set, 1)
    assert app.selectbox(key="right class").value is None
    assert app.button(key="change class").disabled
    app.selectbox(key="right class").select("white blood cell").run()
    app.button(key="change class").click().run()
    show_object(app, data_set, 1)
    assert "wrong class, it is a white blood cell" in texts(app)
    app.multiselect[0].select("white blood cell")
    app.multiselect[1].select("wrong class")
    app.run()
    assert "1 label in 1 of 3 pictures" in texts(app)


def test_a_link_to_the_outside_hides_a_folder(data_set: Path, open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text("secret")
    (data_set / "report.html").unlink()
    (data_set / "report.html").symlink_to(tmp_path / "secret.html")
    assert "There is no painted data set" in texts(open_page("data_set"))[0]


def test_a_training_shows_its_curves(workspace: Workspace, open_page: Open) -> None:
    save_detector_run(workspace.folder)
    app = open_page("proof")
    assert texts(app)[0] == "detector in ."
    assert "loss" in [each.value for each in app.caption]


def test_an_experiment_shows_its_sentences_as_text(workspace: Workspace, open_page: Open) -> None:
    folder = workspace.folder / "proof"
    folder.mkdir()
    (folder / "experiment.json").write_text('{"real": {}, "categories": []}')
    (folder / "summary.csv").write_text("arm,real_images,ap_mean\nreal,3,0.4\n")
    (folder / "card.md").write_text(f"No gain. {HOSTILE}\n\n![curves](card.png)\n\n## Table\n")
    assert texts(open_page("proof")) == ["experiment in proof", f"No gain. {HOSTILE}"]


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "[a](javascript:alert(1))",
        "**bold** `code` $x$ :red[y] :material/home:",
        "https://example.com www.example.com a@example.com",
        "# head",
        "1. one",
        "| a | b |\n|---|---|",
        "a\n\n    b",
        "\\*x\\*",
    ],
)
def test_what_would_be_markup_is_shown_letter_by_letter(text: str) -> None:
    assert shown(text) == " ".join(text.split())


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert shown(text).split() == text.replace("\u2060", "").split()


def shown(text: str) -> str:
    """What a reader of Markdown shows of it, word joiners aside."""
    page = MarkdownIt("commonmark").render(plain(text))
    assert re.fullmatch(r"(<p>[^<]*</p>\n)?", page), page
    return html.unescape(page.removeprefix("<p>").removesuffix("</p>\n").replace("\u2060", ""))


def test_no_link_is_left_to_be_found() -> None:
    assert not re.search(r"https?://|www\.|\w@\w", plain("see https://x.org, WWW.x.org or me@x.org").replace("\\", ""))
