"""What a prompt book looks like in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text as Styled

from boxpaint.console import Table
from generator.prompts.book import BookRow, PromptBook


def show_book(book: PromptBook, console: Console) -> None:
    """Print the texts in use of every row with their scores, and how many were rejected for what."""
    wanted = book.enriched.parameters.get("variants")
    for row in book.enriched.rows:
        console.print(_table(row))
        rejections = ", ".join(f"{count} {reason}" for reason, count in row.rejections().items())
        of = f" of {wanted} wanted" if wanted else ""
        console.print(f"  {len(row.kept)}{of} in use, rejected: {rejections or 'none'}\n", soft_wrap=True)
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
