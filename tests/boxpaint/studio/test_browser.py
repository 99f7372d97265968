"""The whole way through the studio in a browser, as a user goes it. Needs Chromium: apt-get install chromium."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boxpaint.studio.workspace import Workspace
from tests.boxpaint.studio.conftest import save_detector_run
from tests.boxpaint.studio.test_analysis import encoded, huge_png
from tests.boxpaint.terminal import ENVIRONMENT

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
]
WAIT_S = 180
LAPTOP, PHONE = {"width": 1366, "height": 900}, {"width": 390, "height": 844}
# Streamlit's own: it asks whether it lies below a path, and is told that it does not.
PROBES = ("_stcore/health", "_stcore/host-config")


class Studio:
    """The pages of a workspace in a browser; everything that went wrong on the way is kept."""

    def __init__(self, page: Any, address: str, log: Path):
        self.page, self.address, self.log = page, address, log
        self.troubles: list[str] = []
        self.foreign: list[str] = []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: (self.troubles.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self._note(request.url))
        page.on("response", lambda answer: self._judge(answer.status, answer.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.foreign.append(url)

    def _judge(self, status: int, url: str) -> None:
        if status >= 400 and not url.endswith(PROBES):
            self.troubles.append(f"{status} {url}")

    def open(self, path: str, title: str) -> None:
        self.page.goto(f"{self.address}/{path}")
        self.wait(self.page.get_by_role("heading", name=title, exact=True))
        self.settle()

    def wait(self, wanted: Any, *, is_there: bool = True) -> None:
        """Wait until something is on the page, or is not.

        Playwright's own waiting hangs on frames, which a browser without a screen does not always draw.
        """
        deadline = time.monotonic() + WAIT_S
        while (wanted.count() > 0) != is_there:
            assert time.monotonic() < deadline, f"{wanted}: {self.page.inner_text('body')}"
            time.sleep(0.2)

    def settle(self) -> None:
        """Wait until the page has been drawn to its end."""
        time.sleep(0.5)
        self.wait(self.page.locator("[data-testid=stApp][data-test-script-state=running]"), is_there=False)

    def edit_cell(self, grid: int, row: int, column: int, old: str, new: str) -> None:
        """Type into a cell of a table, counted from 0, by keys: the table is drawn on a canvas."""
        self.settle()
        table = self.page.get_by_test_id("stDataFrame").nth(grid)
        self.wait(table.locator("canvas"))
        cell = self.page.locator("textarea.gdg-input, input.gdg-input").first
        deadline = time.monotonic() + WAIT_S
        while True:
            table.scroll_into_view_if_needed()
            time.sleep(1)  # it is laid out anew when its width is known
            box = table.bounding_box()
            self.page.mouse.click(box["x"] + 80, box["y"] + 35 * (row + 1) + 17)
            for _ in range(column):
                self.page.keyboard.press("ArrowRight")
            self.page.keyboard.press("Enter")
            time.sleep(1)
            if cell.evaluate_all("found => found.map(each => each.value)") == [old]:
                break
            # Where the machine is busy, keys come before the cell is chosen, and another one is opened, or none.
            assert time.monotonic() < deadline, f"no cell with {old}"
            self.page.keyboard.press("Escape")
        cell.fill(new)
        self.page.keyboard.press("Enter")
        self.wait(cell, is_there=False)
        self.settle()

    def upload(self, name: str, data: bytes) -> None:
        self.page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
            {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        )
        self.wait(self.page.get_by_text(name))
        self.settle()

    def remove_upload(self) -> None:
        self.page.get_by_role("button", name="Remove ").first.click()
        self.wait(self.page.get_by_text("Give a photo"))


@pytest.fixture()
def studio(workspace: Workspace, tmp_path: Path) -> Iterator[Studio]:
    from playwright.sync_api import sync_playwright

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "server.log"
    command = [sys.executable, "-m", "boxpaint", "app", ".", "--port", str(port), "--no-browser"]
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, cwd=workspace.folder, stdout=stream, stderr=stream, env=ENVIRONMENT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                break
            time.sleep(0.2)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            yield Studio(browser.new_page(viewport=LAPTOP), address, log)
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_from_a_cell_to_an_analysed_photo(studio: Studio, workspace: Workspace, painted: Path) -> None:
    folder, page = workspace.folder, studio.page
    save_detector_run(folder)

    # Edit a cell, see the fault, mend it, save.
    studio.open("", "Scenario")
    studio.edit_cell(grid=0, row=0, column=1, old="40", new="many")
    studio.wait(page.get_by_text("found 'many'"))
    assert page.get_by_role("button", name="Save").is_disabled()
    studio.edit_cell(grid=0, row=0, column=1, old="many", new="4")
    studio.wait(page.get_by_text("4 pictures of 96 x 64 px"))
    page.get_by_role("button", name="Save").click()
    studio.wait(page.get_by_text("saved"))
    assert (folder / "background.csv").read_text().splitlines()[1].endswith(",4")

    # Generate four scenes, and reload in the middle.
    studio.open("generate", "Generate")
    page.get_by_role("button", name="Start", exact=True).click()
    studio.wait(page.get_by_text("0 of 4 pictures; "))
    page.reload()
    studio.wait(page.get_by_text("4 of 4 pictures. It is finished."))
    assert len(list((folder / "dataset" / "records").glob("*.json"))) == 4
    assert page.get_by_role("button", name="Go on").count() == 0

    # Review an object. Of what was painted nobody knows what was accepted.
    shutil.rmtree(folder / "dataset")
    shutil.copytree(painted, folder / "dataset")
    studio.open("data-set", "Data set")
    page.get_by_test_id("stButtonGroup").nth(1).get_by_role("radio").first.click()  # the first chooses the part
    page.get_by_role("button", name="Accept").click()
    studio.wait(page.get_by_text("accepted", exact=False))
    (decision,) = json.loads((folder / "dataset" / "review.json").read_text())["decisions"]
    assert decision["decision"] == "accept"

    # What is no photo has no effect but a message; a photo is analysed.
    studio.open("analyse", "Analyse")
    for name, data, message in (
        ("huge.png", huge_png(30_000), "900000000 pixels"),
        ("text.jpg", b"this is a text", "is no picture"),
        ("half.jpg", encoded("JPEG")[:300], "cannot be used"),
    ):
        studio.upload(name, data)
        studio.wait(page.get_by_text(message))
        studio.remove_upload()
    studio.upload("<b>photo</b>.png", encoded("PNG"))
    page.get_by_test_id("stSelectbox").first.click()
    page.get_by_role("option", name=".", exact=True).click()
    studio.wait(page.get_by_role("button", name="Download the result"))
    assert page.locator("b", has_text="photo").count() == 0

    # Nothing went wrong, nothing was asked of the internet.
    assert studio.troubles == []
    assert studio.foreign == []
    assert "Traceback" not in studio.log.read_text()


def test_every_page_fits_a_phone(studio: Studio, workspace: Workspace, painted: Path) -> None:
    shutil.copytree(painted, workspace.folder / "dataset")
    save_detector_run(workspace.folder)
    studio.page.set_viewport_size(PHONE)
    for path, title in (
        ("", "Scenario"),
        ("generate", "Generate"),
        ("data-set", "Data set"),
        ("analyse", "Analyse"),
        ("proof", "Proof"),
    ):
        studio.open(path, title)
        width = studio.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert width <= PHONE["width"], title
        assert studio.page.get_by_test_id("stException").count() == 0
        if path == "data-set":
            # The last object, far below the beginning of the page, is shown where the click was.
            studio.page.get_by_test_id("stButtonGroup").last.get_by_role("radio").last.click()
            studio.wait(studio.page.get_by_role("dialog"))
            studio.settle()
            box = studio.page.get_by_role("dialog").bounding_box()
            assert 0 <= box["y"] < PHONE["height"] / 2
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"]
    assert studio.troubles == []
    assert "Traceback" not in studio.log.read_text()


def test_two_windows_do_not_undo_each_other(studio: Studio, workspace: Workspace) -> None:
    studio.open("", "Scenario")
    other = Studio(studio.page.context.browser.new_page(viewport=LAPTOP), studio.address, studio.log)
    other.open("", "Scenario")
    for window, text in ((studio, "5"), (other, "6")):
        window.edit_cell(grid=0, row=0, column=1, old="40", new=text)
        window.wait(window.page.get_by_text(f"{text} pictures of"))
        window.page.get_by_role("button", name="Save").click()
        window.settle()
    other.wait(other.page.get_by_text("was changed since this page read it"))
    assert (workspace.folder / "background.csv").read_text().splitlines()[1].endswith(",5")
