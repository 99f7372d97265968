"""What a prompt book looks like in a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.text import Text as Styled

from boxpaint.console import Table
from generator.config import Config
from generator.prompts.book import BookRow, Captions, PromptBook
from generator.prompts.make import RowProgress, make_book
from generator.spec import Spec


def make_and_show(
    spec: Spec, config: Config, captions: Captions | None, console: Console, on_warning: Callable[[str], None]
) -> PromptBook:
    """Make a book and print every row as soon as it is there. Raises as `make_book`."""
    with console.status("looking for prompts") as status:
        book = make_book(
            spec,
            config,
            captions=captions,
            on_row=lambda row: _show_row(row, config.prompts.variants, console),
            on_progress=lambda progress: status.update(describe_progress(progress)),
            on_warning=on_warning,
        )
    _show_captions(book, console)
    return book


def show_book(book: PromptBook, console: Console) -> None:
    """Print the texts in use of every row with their scores, and how many were rejected for what."""
    for row in book.enriched.rows:
        _show_row(row, book.enriched.parameters.get("variants"), console)
    _show_captions(book, console)


def describe_progress(progress: RowProgress) -> str:
    """How far the search for texts has come, in one line of markup."""
    prompt = escape(progress.prompt)
    return f"row {progress.number} of {progress.rows}, {prompt}: {progress.kept} texts of {progress.tried} tried"


def _show_row(row: BookRow, wanted: object, console: Console) -> None:
    console.print(_table(row))
    rejections = ", ".join(f"{count} {reason}" for reason, count in row.rejections().items())
    of = f" of {wanted} wanted" if wanted else ""
    console.print(f"  {len(row.kept)}{of} in use, rejected: {rejections or 'none'}\n", soft_wrap=True)


def _show_captions(book: PromptBook, console: Console) -> None:
    for captions in book.captions.rows if book.captions else ():
        console.print(
            f"{captions.name}: {len(captions.captions)} captions of {captions.references}, "
            f"{len(captions.skipped)} pictures skipped"
        )


def _table(row: BookRow) -> Table:
    title = f"{row.name}: {row.prompt}" if row.name else f"scene: {row.prompt}"
    table = Table(title=Styled(title), title_style="bold", box=None, pad_edge=False)
    table.add_column("text")
    table.add_column("source")
    table.add_column("to prompt", justify="right")
    table.add_column("nearest", justify="right")
    for item in row.texts:
        if not item.rejected:
            scores = (f"{value:.2f}" if value is not None else "" for value in (item.similarity, item.nearest))
            table.add_row(Styled(item.text), item.source, *scores)
    return table
