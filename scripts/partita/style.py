"""How all pictures look: colours that colour-blind readers tell apart (Okabe and Ito 2008), sizes, units, rows of ranks."""
import contextlib
import dataclasses
import warnings

import matplotlib
import numpy
from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#B8B8B8"
INK, FRAME, LINES = "#1A1A1A", "#555555", "#E4E4E4"
RUN_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
RUN_DASHES = ("-", "--", "-.", ":")
RUN_MARKERS = "os^DvPX"
WIDTH = 8.5  # inches, of every picture
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10.5, "axes.titlelocation": "left", "axes.labelsize": 10,
    "figure.titlesize": 11.5, "legend.fontsize": 9, "legend.frameon": False, "text.color": INK, "axes.labelcolor": INK,
    "xtick.color": INK, "ytick.color": INK, "xtick.labelsize": 9, "ytick.labelsize": 9, "axes.edgecolor": FRAME,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "grid.color": LINES, "grid.linewidth": 0.8,
    "savefig.dpi": 144, "savefig.facecolor": "white", "svg.hashsalt": "partita", "hatch.linewidth": 0.6,
}


@contextlib.contextmanager
def drawing():
    """Pictures drawn and saved in here look the same for everybody: nothing that matplotlib was told before counts."""
    with matplotlib.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about defaults that are going to be removed
            matplotlib.rcParams.update({name: value for name, value in matplotlib.rcParamsDefault.items()
                                        if not name.startswith("backend")})
        matplotlib.rcParams.update(STYLE)
        yield


@dataclasses.dataclass
class Picture:
    """A drawn figure, what it is called, and what it shows in words."""
    name: str  # of its files
    title: str
    figure: Figure
    alt: str  # for who cannot see it
    caption: str = ""


def new_figure(height, title, width=WIDTH):
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, x=0.06 / width, ha="left", weight="bold")
    return figure


def run_style(i):
    """Colour and dashes of the i-th run: 28 that differ. Solid lines lie below the others, through which they are seen."""
    dashes = i % len(RUN_DASHES)
    return {"color": RUN_COLOURS[i % len(RUN_COLOURS)], "linestyle": RUN_DASHES[dashes], "zorder": 2 + dashes / 10}


def readable(text):
    """Text of a file or a user as UTF-8 can hold it: a byte that is none is shown as \\xe9, as result files keep it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def plain(text):
    """Text of a file or a user, in which a dollar begins no formula."""
    return readable(text).replace("$", r"\$")


def shorten(text, longest=36):
    return plain(text if len(text) <= longest else text[: longest // 2 - 1] + "…" + text[-(longest - longest // 2):])


def plural(count, what):
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def number(value):
    """Three or four digits that matter."""
    if value != value:
        return "not measured"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def seconds_unit(largest):
    """(factor, name) such that the largest number is easy to read."""
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if largest * factor >= 1 or name == "µs":
            return factor, name


def bytes_unit(largest):
    for factor, name in ((1e-12, "TB"), (1e-9, "GB"), (1e-6, "MB"), (1e-3, "kB")):
        if largest * factor >= 1:
            return factor, name
    return 1, "B"


def bytes_text(value):
    if numpy.isnan(value):
        return "unknown"
    factor, name = bytes_unit(value)
    return f"{value * factor:.3g} {name}" if value < 1e15 else f"{value * factor:,.0f} {name}"


def seconds_text(value):
    factor, name = seconds_unit(value)
    return f"{value * factor:.3g} {name}"


def rows_height(rows, tallest_row=0.42, most=11.0):
    """Inches for so many rows; 64 of them are still told apart."""
    return min(most, rows * max(0.15, min(tallest_row, 6.0 / rows)))


def label_rows(axes, labels, height):
    """Names the rows 0, 1, …, all where there is room for 8 points each, else every 2nd, 4th, …"""
    every = 1
    while height / max(1, -(-len(labels) // every)) < 0.145:
        every *= 2
    axes.set_yticks(numpy.arange(0, len(labels), every), labels[::every])
    axes.tick_params(axis="y", length=0, labelsize=9 if height / len(labels) >= 0.2 else 7.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def stacked_rows(axes, labels, parts, height):
    """A bar a row, of `parts`: (name, values by row, colour, hatch)."""
    begin = numpy.zeros(len(labels))
    for name, values, colour, hatch in parts:
        axes.barh(numpy.arange(len(labels)), values, 0.78, left=begin, color=colour, label=NAMED + name, hatch=hatch,
                  edgecolor="white" if hatch is None else FRAME, linewidth=0.3)
        begin = begin + values
    label_rows(axes, labels, height)
    axes.grid(axis="x")
    axes.set_xlim(0, max(begin.max() * 1.02, 1e-30))
    return begin


# Before each name that is to stand in a legend: matplotlib leaves out those that begin with "_".
NAMED = "name "


def legend(axes, **keys):
    """Of all that was drawn with `label=NAMED + …`."""
    box = axes.legend(**keys)
    for text in box.get_texts():
        text.set_text(text.get_text().removeprefix(NAMED))


def legend_above(axes, columns=4):
    legend(axes, loc="lower left", bbox_to_anchor=(0, 1.0), ncol=columns, borderaxespad=0.2, handlelength=1.4, columnspacing=1.4)
