"""Which column of a CSV file of boxes holds what, by its header or, without one, by its cells.

TensorFlow's tutorials and Roboflow (https://roboflow.com/formats/tensorflow-object-detection-csv):
filename,width,height,class,xmin,ymin,xmax,ymax. Keras RetinaNet (https://github.com/fizyr/keras-retinanet#csv-datasets):
path,x1,y1,x2,y2,class_name without a header, and `path,,,,,` for a picture without objects.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detection.importers.matching import PICTURE_SUFFIXES

_SYNONYMS = {
    "picture": (
        "filename file file_name image image_name image_path image_file path filepath file_path img img_name img_path "
        "image_id imageid"
    ),
    "class": "class class_name classname label label_name labelname category category_name name object",
    "x_min": "xmin x_min x1 left bbox_xmin bbox_x_min bbox_x1 box_xmin",
    "y_min": "ymin y_min y1 top bbox_ymin bbox_y_min bbox_y1 box_ymin",
    "x_max": "xmax x_max x2 right bbox_xmax bbox_x_max bbox_x2 box_xmax",
    "y_max": "ymax y_max y2 bottom bbox_ymax bbox_y_max bbox_y2 box_ymax",
    "x": "x bbox_x box_x",
    "y": "y bbox_y box_y",
    "box_width": "w bbox_width box_width bbox_w bw",
    "box_height": "h bbox_height box_height bbox_h bh",
    "width": "width image_width img_width imagewidth",
    "height": "height image_height img_height imageheight",
    "split": "split set subset usage",
}
_MEANINGS = {word: meaning for meaning, words in _SYNONYMS.items() for word in words.split()}
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_SIDES = ("x", "y", "box_width", "box_height")
_RETINANET = ("picture", *_CORNERS, "class")
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRow:
    """One row: its line and the text below each meaning that the file has."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxTable:
    """The rows of a file of boxes. With `has_sides` boxes are x, y, width, height, else both corners."""

    rows: tuple[BoxRow, ...]
    has_sides: bool
    delimiter: str


def read_box_table(text: str) -> BoxTable | None:
    """Read a file whose columns are a picture, a class and a box; None when it is no such file."""
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
        except csv.Error:  # binary data, or a quote that never ends
            return None
        if not lines:
            return None
        columns = _columns_of_header(lines[0][1])
        if columns is not None:
            lines = lines[1:]
        elif _is_retinanet(lines[0][1]):
            columns = _RETINANET
        else:
            continue
        rows = tuple(BoxRow(line=line, cells=_cells(columns, cells)) for line, cells in lines)
        return BoxTable(rows=rows, has_sides="x_min" not in columns, delimiter=delimiter)
    return None


def _columns_of_header(cells: Sequence[str]) -> tuple[str, ...] | None:
    words = [re.sub(r"[^a-z0-9]+", "_", cell.lower()).strip("_") for cell in cells]
    columns = [_MEANINGS.get(word, "") for word in words]
    if "x" in columns and "box_width" not in columns:
        # Beside x and y, a width is the box's.
        columns = [{"width": "box_width", "height": "box_height"}.get(column, column) for column in columns]
    # Of two columns of one meaning (filename, image_id) the first counts.
    columns = [column if column not in columns[:number] else "" for number, column in enumerate(columns)]
    has_box = all(name in columns for name in _CORNERS) or all(name in columns for name in _SIDES)
    return tuple(columns) if has_box and "picture" in columns and "class" in columns else None


def _is_retinanet(cells: Sequence[str]) -> bool:
    if len(cells) != len(_RETINANET) or not cells[0].lower().endswith(PICTURE_SUFFIXES):
        return False
    return all(re.fullmatch(r"-?\d+(\.\d*)?", cell) for cell in cells[1:5]) or not any(cells[1:])


def _cells(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    filled = (*cells, *[""] * (len(columns) - len(cells)))
    return {column: cell for column, cell in zip(columns, filled, strict=False) if column}
