"""What must hold of rows that came back. Each function returns what is wrong, as lines; nothing wrong, no line."""
from writers import SIDES, other

MOST_TOLD = 10


def _some(numbers):
    listed = sorted(numbers)
    return ", ".join(map(str, listed[:MOST_TOLD])) + (f" and {len(listed) - MOST_TOLD} more" if len(listed) > MOST_TOLD else "")


def lost(rows, acknowledged):
    """Acknowledged is a subset of recovered. `acknowledged`: side -> ids."""
    found = []
    for side in SIDES:
        missing = set(acknowledged[side]) - rows[side].keys()
        if missing:
            found.append(f"{side} lost {len(missing)} of {len(acknowledged[side])} acknowledged commits: {_some(missing)}")
    return found


def invented(rows, issued):
    """Recovered is a subset of issued, row by row."""
    found = []
    for side in SIDES:
        strange = {number for number, names in rows[side].items() if issued[side].get(number) != names}
        if strange:
            found.append(f"{side} has {len(strange)} rows that nobody issued: {_some(strange)}")
    return found


def dangling(rows):
    """Causal order: no row without the one that it names."""
    found = []
    for side in SIDES:
        loose = {number for number, names in rows[side].items() if names and names not in rows[other(side)]}
        if loose:
            found.append(f"{side} has {len(loose)} rows that name a row that {other(side)} lacks: {_some(loose)}")
    return found
