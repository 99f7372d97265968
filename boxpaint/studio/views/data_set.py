"""Data set: pictures with boxes and masks, each object close up with its reasons, review, figures, leak audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from boxpaint.studio import jobs
from boxpaint.studio.gallery import (
    BOX_COLOURS,
    STATES,
    Entry,
    PaintedSet,
    boxes_of,
    chosen,
    close_up,
    count_words,
    draw_scene,
    open_picture,
    read_painted_set,
    verdict_rows,
)
from boxpaint.studio.views.parts import in_columns, is_at_work, job_key, keep, pick, plain, show_error, show_picture
from boxpaint.studio.workspace import Workspace
from generator.audit.files import AUDIT_PICTURE, read_audit
from generator.dataset.record import ObjectRecord, SceneRecord
from generator.dataset.review import Choice, Decision, accepted_attempt, decide, read_review
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import BoxpaintError
from generator.report.statistics import Statistics

_A_PAGE, _COLUMNS = 12, 3
_MARKS = dict(zip(STATES, ("", " ✓", " ✗", " ≠", " –"), strict=True))
_COLOUR_NAMES = dict(zip(BOX_COLOURS, ("orange", "blue", "green", "yellow"), strict=True))
_PARTS = _PICTURES, _FIGURES, _AUDIT = "Pictures", "Figures", "Leak audit"


def show(workspace: Workspace) -> None:
    """Draw the page."""
    picked = pick(workspace, "data set", label="Data set", key="data set")
    if picked is None:
        st.text("There is no painted data set in this folder yet; Generate makes one.")
        return
    # Its records are read again when one was added; decisions, which another window may make, every time.
    stamp = (picked.name, (picked.folder / "records").stat().st_mtime_ns)
    data = keep("set", stamp, lambda: _read(picked.folder))
    data = replace(data, review=read_review(data.folder, data.categories))
    if not data.records:
        st.text("No picture is finished yet.")
        return
    if said := st.session_state.pop("said", ""):
        st.toast(plain(said))
    # Not tabs, which are all drawn each time.
    part = st.segmented_control("Show", _PARTS, default=_PICTURES, key="part", label_visibility="collapsed")
    {_FIGURES: _show_figures, _AUDIT: _show_audit}.get(part or _PICTURES, _show_pictures)(workspace, data)


def _read(folder: Path) -> PaintedSet:
    with st.spinner("reading"):
        return read_painted_set(folder)


def _show_pictures(workspace: Workspace, data: PaintedSet) -> None:
    first, second, third, fourth = st.columns([2, 2, 1, 1])
    categories = first.multiselect("Classes", data.categories)
    states = second.multiselect("Verdicts", STATES)
    min_score = third.slider("Least score", 0.0, 1.0, 0.0, 0.05, help="Of the verifier; labels without one stay.")
    with fourth:
        boxes = st.toggle("Boxes", value=True)
        masks = st.toggle("Masks", value=False)
    entries = chosen(data.entries(), categories, states, min_score)
    by_scene: dict[int, list[Entry]] = {}
    for entry in entries:
        by_scene.setdefault(entry.record.index, []).append(entry)
    scenes = list(by_scene if categories or states or min_score else data.records)
    st.text(f"{count_words(entries)} in {len(scenes)} of {len(data.records)} pictures")
    st.caption("Click an object below a picture to see it close up.")
    _show_object(workspace, data)
    pages = max(1, -(-len(scenes) // _A_PAGE))
    page = int(st.number_input("Page", 1, pages, 1)) if pages > 1 else 1
    visible = scenes[(page - 1) * _A_PAGE : page * _A_PAGE]
    for column, index in in_columns(visible, _COLUMNS):
        record = data.as_reviewed(data.records[index])
        with column:
            picture = open_picture(workspace, data.folder, record)
            st.image(
                draw_scene(picture, record, data.categories, boxes=boxes, masks=masks),
                caption=plain(f"{record.file_name}, {record.split}"),
                width="stretch",
            )
            if index in by_scene:
                _offer_objects(data.folder, by_scene[index])


def _offer_objects(folder: Path, entries: Sequence[Entry]) -> None:
    """The objects of a picture, to be opened by a click."""
    scene = entries[0].record.index
    key = f"objects of {folder.name} {scene}"

    def open_object() -> None:
        number = st.session_state[key]
        if number is not None:
            st.session_state["object"] = (str(folder), scene, number)
        st.session_state[key] = None

    names = {
        entry.item.object_index: plain(f"{entry.item.object_index} {entry.item.category}") + _MARKS[entry.state]
        for entry in entries
    }
    st.pills(
        "Objects",
        list(names),
        format_func=names.__getitem__,
        key=key,
        on_change=open_object,
        label_visibility="collapsed",
        wrap=True,
    )


def _show_object(workspace: Workspace, data: PaintedSet) -> None:
    """The object that was clicked, over the page: wherever that is scrolled to, and on a phone, it is in sight."""
    folder, scene, number = st.session_state.get("object", ("", -1, -1))
    found = data.object_of(scene, number) if folder == str(data.folder) else None
    if found is None:
        return
    record, item = found
    title = plain(f"{item.category}, object {item.object_index} of {record.file_name}")
    st.dialog(title, width="large", on_dismiss=_close_object)(_draw_object)(workspace, data, record, item)


def _close_object() -> None:
    st.session_state.pop("object", None)


def _draw_object(workspace: Workspace, data: PaintedSet, record: SceneRecord, item: ObjectRecord) -> None:
    """What was asked, what came, why it was kept, and what a person says of it."""
    picture = open_picture(workspace, data.folder, record)
    decided = data.review.of(record, item)
    right = f", it is a {decided.category}" if decided is not None and decided.category else ""
    st.text(f"{data.state_of(record, item)}{right}")
    after, before, words = st.columns([1, 1, 1.2])
    with after:
        st.image(close_up(picture, item, boxes=True), caption="after, with its boxes", width="stretch")
        if item.painted_box is not None:
            _review(data, record, item)
    with before:
        _show_before(workspace, data, record, item)
    with words:
        _show_words(record, item)
    with st.expander("Attempts and checks"):
        st.dataframe(pd.DataFrame(verdict_rows(item)), width="stretch", hide_index=True)


def _show_words(record: SceneRecord, item: ObjectRecord) -> None:
    st.caption("prompt")
    st.text(item.prompt)
    if item.dropped:
        st.caption("dropped")
        st.text(item.dropped)
    rows = [
        {"box": name, "colour": _COLOUR_NAMES[name], "x, y, width, height": ", ".join(map(str, box.xywh))}
        for name, box in boxes_of(item, (record.width, record.height)).items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    scores = {"verifier": item.verified_score, "its box": item.verified_box_score, "visible": item.visible_share}
    st.caption(", ".join(f"{name} {value:.2f}" for name, value in scores.items() if value is not None) or "no scores")
    st.caption(plain(f"seed {item.seed}; attempts: {len(item.attempts)}; blended by {item.blender}"))


def _show_before(workspace: Workspace, data: PaintedSet, record: SceneRecord, item: ObjectRecord) -> None:
    """The same place before anything was painted, which is painted on demand: a run does not keep its bare scenes."""
    run = data.folder.relative_to(workspace.folder)
    key = job_key(record.sha256)
    path = workspace.inside(".boxpaint", "before", f"{key}.png")
    name = f"before {key}"
    if path.is_file():
        bare = decode_rgb(path.read_bytes())
        st.image(close_up(bare, item, boxes=False), caption="before anything was painted", width="stretch")
    elif not is_at_work(workspace, name) and st.button(
        "Paint the scene before", help="Again from its seed; takes some seconds."
    ):
        arguments = [str(run), str(record.index), str(path.relative_to(workspace.folder))]
        jobs.start(workspace, name, arguments, module="boxpaint.studio.bare_scene")
        st.rerun()


def _review(data: PaintedSet, record: SceneRecord, item: ObjectRecord) -> None:
    accept, reject = st.columns(2)
    if accept.button("Accept", key="accept", width="stretch"):
        _decide(data, record, item, "accept")
    if reject.button("Reject", key="reject", help="The next run paints it again.", width="stretch"):
        _decide(data, record, item, "reject")
    others = [name for name in data.categories if name != item.category]
    if others:
        right = st.selectbox("It is a", others, index=None, placeholder="another class", key="right class")
        if st.button("Change class", key="change class", width="stretch", disabled=right is None) and right:
            _decide(data, record, item, "wrong class", right)


def _decide(
    data: PaintedSet, record: SceneRecord, item: ObjectRecord, choice: Choice, category: str | None = None
) -> None:
    attempt = accepted_attempt(item)
    if attempt is None:
        return
    decision = Decision(
        scene=record.index, object_index=item.object_index, attempt=attempt, decision=choice, category=category
    )
    try:
        decide(data.folder, data.categories, decision)
    except BoxpaintError as error:
        show_error(error)
    else:
        what = {"accept": "accepted", "reject": "rejected, the next run paints it again"}.get(choice, f"a {category}")
        st.session_state["said"] = f"{item.category}, object {item.object_index} of {record.file_name}: {what}"
        _close_object()
        st.rerun()


def _show_figures(workspace: Workspace, data: PaintedSet) -> None:
    found = Statistics(data.categories)
    for record in data.records.values():
        found.add(data.review.applied(record, data.label_scales))
    st.text(f"{found.scenes} pictures ({found.train_scenes} train), {found.objects} labels, {found.decoys} decoys")
    rows = [
        {
            "class": each.name,
            "planned": each.planned,
            "train": each.train,
            "val": each.val,
            "dropped": each.dropped,
            "no place": each.unplaced,
            "passed": f"{each.acceptance:.0%}",
            "asked, px": round(each.requested_median_px, 1),
            "painted, px": round(each.painted_median_px, 1),
            "label, px": round(each.labelled_median_px, 1),
            "IoU": round(each.median_iou, 3),
            "score": None if each.median_score is None else round(each.median_score, 3),
        }
        for each in found.categories
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    st.caption(
        "passed: share of all attempts that passed every check; px: side of the boxes (root of the area), median; "
        "IoU: of asked and painted boxes, median; score: the verifier's, median"
    )
    sizes = [
        {"class": each.name, "width, px": width, "height, px": height}
        for each in found.categories
        for width, height in each.painted_wh
    ]
    if sizes:
        st.scatter_chart(pd.DataFrame(sizes), x="width, px", y="height, px", color="class")
    report = workspace.inside(data.folder, "report.html")
    if report.is_file():
        st.download_button("Download the report", report.read_bytes(), file_name="report.html", mime="text/html")


def _show_audit(workspace: Workspace, data: PaintedSet) -> None:
    name = str(data.folder.relative_to(workspace.folder))
    st.text("Can a trained probe tell where was painted? 0.5 is guessing, 1.0 is always.")
    job_name = f"audit {job_key(name)}"
    if is_at_work(workspace, job_name):
        return
    if st.button("Audit all pictures", help="With a small network besides; minutes."):
        jobs.start(workspace, job_name, ["audit", name])
        st.rerun()
    audit = read_audit(data.folder)
    if audit is None:
        st.text("It was not audited yet.")
        return
    rows = [
        {"places": kind, "probe": probe, "AUC": f"{auc.value:.2f}", "95 %": f"{auc.low:.2f} to {auc.high:.2f}"}
        for kind, finding in audit.found.items()
        if finding is not None
        for probe, auc in finding.auc.items()
    ]
    for kind, finding in audit.found.items():
        if finding is None:
            st.text(f"{kind}: too few, {audit.shortage(kind)}")
    if not rows:
        return
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    show_picture(workspace.inside(data.folder, AUDIT_PICTURE), "the most conspicuous places")
