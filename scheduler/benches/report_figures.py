"""How figures are put into words: medians over rounds, ratios within a round, tables of Markdown."""

import statistics


def column(lines, key):
    return [line[key] for line in lines if key in line]


def over(line, base, key):
    return line[key] / base[key] if line.get(key) and base.get(key) else None


def ratio(lines, bases, key):
    return middle([share for share in (over(*pair, key) for pair in zip(lines, bases)) if share is not None])


def number(value, form="{:.3g}"):
    if value is None:
        return "–"
    # Three significant digits, but a large number in full.
    return f"{value:,.0f}" if form == "{:.3g}" and abs(value) >= 100 else form.format(value)


def middle(values, form="{:.3g}"):
    """The median, and what the rounds ranged over where that can be seen."""
    if not values:
        return "–"
    median, low, high = (number(value, form) for value in (statistics.median(values), min(values), max(values)))
    return median if low == high else f"{median} ({low} to {high})"


def spread(values, form="{:.3g}"):
    if not values:
        return "–"
    low, high = number(min(values), form), number(max(values), form)
    return low if low == high else f"{low} to {high}"


def table(heads, rows):
    print(table_of(heads, rows), flush=True)


def table_of(heads, rows):
    lines = (f"| {' | '.join(row)} |" for row in (heads, *rows))
    return "\n".join([next(lines), f"|{'---|' * len(heads)}", *lines, ""])
