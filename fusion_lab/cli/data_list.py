"""``fusion-lab data list``: the public data sets in one table."""

from jsonargparse import ArgumentParser, Namespace


def parser() -> ArgumentParser:
    """Make the parser of the command, which takes nothing."""
    return ArgumentParser(
        description="List the public data sets: tasks, pairs, size of the download, terms, how each is got, and which "
        "file of configs/data reads it.",
        exit_on_error=False,
    )


def run(_: Namespace) -> int:
    """Run the command; returns the exit code."""
    from rich.console import Console
    from rich.table import Table

    from fusion_lab.public.data_sets import PublicDataSet, data_sets

    def how(data_set: PublicDataSet) -> str:
        if data_set.repository is None:
            return data_set.command or "by hand"
        return "fetched" if data_set.repository.commit else "fetched, newest"

    table = Table("name", "tasks", "pairs", "MB", "terms", "how it is got", "configs/data/")
    for column in (0, 6):
        table.columns[column].no_wrap = True
    table.columns[4].overflow = "fold"
    for column in (2, 3):
        table.columns[column].justify = "right"
    for data_set in data_sets().values():
        table.add_row(
            data_set.name,
            ", ".join(data_set.tasks) or "-",
            "-" if data_set.pairs is None else f"{data_set.pairs:,}",
            "-" if data_set.megabytes is None else str(data_set.megabytes),
            data_set.terms,
            how(data_set),
            "\n".join(data_set.configs) or "-",
        )
    Console().print(table)
    return 0
