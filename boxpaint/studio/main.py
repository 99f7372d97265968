"""The entry that Streamlit runs; `boxpaint app` starts it, and names the folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from PIL import Image

from boxpaint.studio import FOLDER_VARIABLE
from boxpaint.studio.views import analyse, data_set, generate, proof, scenario
from boxpaint.studio.views.parts import show_error
from boxpaint.studio.workspace import Workspace
from generator.dataset.pictures import PALETTE, draw_boxes
from generator.foundation.errors import BoxpaintError
from generator.foundation.geometry import Box

PAGES: dict[str, tuple[Callable[[Workspace], None], str]] = {
    "Scenario": (scenario.show, ":material/table_edit:"),
    "Generate": (generate.show, ":material/brush:"),
    "Data set": (data_set.show, ":material/photo_library:"),
    "Analyse": (analyse.show, ":material/search:"),
    "Proof": (proof.show, ":material/monitoring:"),
}


def _icon() -> Image.Image:
    """A box on a picture. Drawn here: of symbols the browser would fetch one from the internet."""
    return draw_boxes(Image.new("RGB", (32, 32), "#3a3a3a"), [("", Box.from_xywh(7, 9, 18, 14))], {"": PALETTE[0]})


def run() -> None:
    """Draw the page that is open; a mistake of the user's is one message."""
    st.set_page_config(page_title="boxpaint", page_icon=_icon(), layout="wide")
    workspace = Workspace(Path(os.environ[FOLDER_VARIABLE]))

    def page_of(title: str) -> Callable[[], None]:
        def draw() -> None:
            st.title(title)
            try:
                PAGES[title][0](workspace)
            except BoxpaintError as error:
                show_error(error)

        return draw

    pages = [
        st.Page(page_of(title), title=title, icon=icon, url_path=title.lower().replace(" ", "-"), default=not number)
        for number, (title, (_, icon)) in enumerate(PAGES.items())
    ]
    st.navigation(pages, position="top").run()  # beside the page it would take the room of two columns of a table


run()
