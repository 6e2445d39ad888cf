"""Pictures of bench path and bench latency: what is answered against what is offered, and how long
an acknowledgement takes beside the bare echo's answer."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tools.bench.picture import INK, MUTED, OURS, THEIRS

_STYLE = {"font.size": 9, "axes.edgecolor": MUTED, "text.color": INK, "axes.labelcolor": INK,
          "xtick.color": MUTED, "ytick.color": MUTED}


def _plain(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def _answered(axes, rows):
    offered = [row["offered"] / 1e3 for row in rows]
    axes.plot(offered, offered, color=THEIRS, linewidth=1, label="offered")
    axes.plot(offered, [row["answered"] / 1e3 for row in rows], "o-", color=OURS, markersize=4,
              label="answered")
    axes.set_xlabel("offered, thousand orders a second")
    axes.set_title("answered, thousand orders a second", fontsize=10, loc="left")
    axes.legend(frameon=False)
    _plain(axes)


def answered(rows, cores: str, path) -> None:
    """Writes a PNG of the answered rate of `sweep` rows. Raises OSError."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6, 4), dpi=160)
        _answered(figure.subplots(), rows)
        figure.text(0.99, 0.01, cores, ha="right", fontsize=7, color=MUTED)
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path, format="png")


def latency(report: dict, times: dict, path) -> None:
    """Writes a PNG: the share of orders slower than so many microseconds, and the answered rate.
    times: microseconds of "floor" and "ack". Raises OSError."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9, 4), dpi=160)
        slower, rates = figure.subplots(1, 2)
        for name, colour, label in (("floor", THEIRS, "bare echo in C"),
                                    ("ack", OURS, "acknowledgement")):
            values = np.sort(times[name])
            slower.plot(values, 1 - np.arange(values.size) / values.size, color=colour,
                        label=label)
        slower.set_xscale("log")
        slower.set_yscale("log")
        slower.set_xlabel("microseconds from when the order was due")
        slower.set_title(f"share slower, {report['rate']:,.0f} orders a second", fontsize=10,
                         loc="left")
        slower.legend(frameon=False)
        _plain(slower)
        _answered(rates, report["sweep"])
        figure.text(0.99, 0.01, f"rung {report['mode']}, {report['cores']}", ha="right",
                    fontsize=7, color=MUTED)
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path, format="png")
