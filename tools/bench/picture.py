"""The picture of `--against --picture`: rate and time an operation of each engine, log scales."""

import matplotlib
from matplotlib.figure import Figure

INK, MUTED, OURS, THEIRS = "#222222", "#777777", "#c8442b", "#9fb4c7"


def draw(table, path):
    """Writes a PNG of 1600 x 800 pixels or so. Raises OSError."""
    rows = [row for row in table["engines"] if row["verdict"] == "trades equal"]
    rows.reverse()                                          # the fastest on top
    places = range(len(rows))
    with matplotlib.rc_context({"font.size": 9, "axes.edgecolor": MUTED, "text.color": INK,
                                "axes.labelcolor": INK, "xtick.color": MUTED}):
        figure = Figure(figsize=(9, 1.0 + 0.36 * len(rows)), dpi=160)
        rate, latency = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
        colours = [OURS if row["engine"] == "wirematch" else THEIRS for row in rows]
        rates = [row["messages_per_second"] / 1e6 for row in rows]
        rate.barh(places, rates, color=colours, height=0.62)
        for place, value in zip(places, rates, strict=True):
            label = f"{value:.1f}" if value >= 1 else f"{value:.3f}"
            rate.annotate(label, (value, place), xytext=(4, 0), textcoords="offset points",
                          va="center", color=INK)
        rate.set_title("million messages a second", fontsize=10, loc="left")
        rate.set_yticks(places, [row["engine"] + "*" * bool(row["without"])
                                  for row in rows])
        rate.tick_params(axis="y", length=0)
        rate.set_xlim(min(rates) / 2, max(rates) * 5)
        _latencies(latency, rows, places, colours)
        for axes in (rate, latency):
            axes.set_xscale("log")
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
            axes.set_axisbelow(True)
        file = table["file"].split(".")[0]
        figure.text(0.99, 0.01, f"{table['messages']:,} messages of {file}, packages driven from "
                    "Python, wirematch by its compiled loop; trades equal (* without reductions; "
                    "order-matching: a shorter prefix)", ha="right", fontsize=7, color=MUTED)
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path)


def _latencies(axes, rows, places, colours):
    """A line from p50 to p99.9 for each engine, with a dot at p50 and a mark at p99."""
    for place, row, colour in zip(places, rows, colours, strict=True):
        low, middle, high = (max(row["ns"][name], 1) for name in ("p50", "p99", "p99.9"))
        axes.plot([low, high], [place, place], color=colour, linewidth=4, solid_capstyle="round")
        axes.plot([low], [place], "o", color=INK, markersize=5)
        axes.plot([middle], [place], "|", color=INK, markersize=9, markeredgewidth=1.6)
    axes.tick_params(axis="y", length=0)
    axes.set_title("ns an operation: p50 (dot), p99 (tick), to p99.9", fontsize=10, loc="left")
