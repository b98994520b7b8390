"""The bar of a batch, drawn by rich."""

from rich.progress import BarColumn, Progress, TextColumn

from llmnet.batch.progress import BatchProgress, spoken


class RichBar:
    """A bar on standard error, with the figures after it."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - loaded on use

        columns = BarColumn(bar_width=24), TextColumn("{task.description}")
        self._progress = Progress(*columns, console=Console(stderr=True), transient=False)
        self._task = self._progress.add_task("", total=None)

    def __call__(self, figures: BatchProgress) -> None:
        """Draw the figures."""
        if not self._progress.live.is_started:
            self._progress.start()
        self._progress.update(self._task, description=spoken(figures), completed=figures.done, total=figures.total)
        if figures.over:
            self._progress.stop()
