"""A table of texts, written alike as Markdown, as LaTeX and for a terminal."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

_MARKDOWN = str.maketrans({"|": r"\|", "*": r"\*"})
_LATEX = str.maketrans(
    {character: rf"\{character}" for character in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "\\": r"\textbackslash{}", "^": r"\^{}"}
    | {"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "✓": r"\checkmark", "*": "$^*$"}
)
_RULES = {"l": "---", "c": ":---:", "r": "---:"}
_JUSTIFIED: dict[str, JustifyMethod] = {"l": "left", "c": "center", "r": "right"}
# Wider than any table.
_ENDLESS = 10_000


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes:
        headings: What stands above each column; the first column names the rows.
        rows: The texts of each row, one a column.
        alignment: ``l``, ``c`` or ``r`` for each column.
        bold: The cells that are bold, by row and column.
        second: Those that are in italics in Markdown, and underlined elsewhere.
        caption: What is told with the table, if anything is.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    alignment: str
    bold: Collection[tuple[int, int]] = ()
    second: Collection[tuple[int, int]] = ()
    caption: str = ""

    def markdown(self) -> str:
        """Write it in Markdown."""

        def plain(text: str) -> str:
            return text.translate(_MARKDOWN)

        lines = [[*map(plain, self.headings)], [_RULES[one] for one in self.alignment]]
        lines += self._texts("**{}**", "*{}*", plain)
        text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        return f"{text}\n{plain(self.caption)}\n" if self.caption else text

    def latex(self) -> str:
        """Write it in LaTeX for the packages booktabs and amssymb."""

        def plain(text: str) -> str:
            return text.translate(_LATEX)

        head, *rows = [[*map(plain, self.headings)], *self._texts(r"\textbf{{{}}}", r"\underline{{{}}}", plain)]
        lines = [
            *([f"% {self.caption}"] if self.caption else []),
            rf"\begin{{tabular}}{{{self.alignment}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        return "\n".join(lines) + "\n"

    def terminal(
        self, title: str | None = None, columns: Sequence[int] | None = None, caption: str | None = None
    ) -> Table:
        """Make a table for a terminal.

        Args:
            title: What stands above.
            columns: The columns to show; all unless given.
            caption: What stands below.
        """
        shown = Table(title=title, caption=caption)
        chosen = range(len(self.headings)) if columns is None else columns
        for column in chosen:
            shown.add_column(escape(self.headings[column]), justify=_JUSTIFIED[self.alignment[column]])
        for texts in self._texts("[bold]{}[/bold]", "[underline]{}[/underline]", escape):
            shown.add_row(*(texts[column] for column in chosen))
        return shown

    def terminal_parts(self, width: int) -> list[Table]:
        """Make tables for a terminal of so many letters a line: columns that do not fit side by side follow below."""
        console, parts, first, number = Console(width=_ENDLESS), [], 1, len(self.headings)
        while first < number:
            end = first + 1
            while end < number and console.measure(self.terminal(columns=[0, *range(first, end + 1)])).maximum <= width:
                end += 1
            caption = self.caption if end == number else None
            parts.append(self.terminal(columns=[0, *range(first, end)], caption=caption))
            first = end
        return parts

    def _texts(self, bold: str, second: str, plain: Callable[[str], str]) -> list[list[str]]:
        """Return the texts of all rows, made plain and put into the forms of those that are marked."""
        return [
            [
                (bold if (row, column) in self.bold else second if (row, column) in self.second else "{}").format(
                    plain(text)
                )
                for column, text in enumerate(texts)
            ]
            for row, texts in enumerate(self.rows)
        ]
