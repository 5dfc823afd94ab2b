"""What happens in a life, drawn from its seed before it begins: same seed, same schedule.

A life of fewer rounds is the beginning of the longer one. `draw` is the whole of it; `tell` prints it.
"""
import random

import harness
from writers import SIDES

SHORTEST_LIFE, LONGEST_LIFE = 10, 25
MOST_ROUNDS_AWAY = 4  # of a vault that stays away over other faults

# (what, how often)
KILLED = (("kill agent", 12), ("freeze agent", 6), ("restart agent", 4), ("kill vault", 7), ("freeze vault", 7),
          ("vault leaves", 6), ("crash server", 9), ("restart server", 4), ("crash home", 5))
CUT = (("cut link", 5), ("silence link", 5), ("cut all links", 3), ("silence all links", 3), ("cut server link", 3),
       ("silence server link", 3))
FILLED = (("fill vault", 6), ("fill agent", 4))
CALM = (("base", 6), ("switch segment", 4), ("nothing", 2))
FAULTS = (*KILLED, *CUT, *FILLED, *CALM)
LASTING = {what for what, _ in (*CUT, *FILLED)}
TAKES_ROOT = LASTING - {"cut server link", "silence server link"}

LONG_SILENCE_SECONDS = 12.0  # longer than anybody waits for a connection


class Round:
    """One fault: on whom, how long; and what runs beside it."""

    def __init__(self, what, side, vault, seconds, cut_after, base_beside):
        self.what, self.side, self.vault, self.seconds = what, side, vault, seconds
        self.cut_after, self.base_beside = cut_after, base_beside

    def __str__(self):
        whom = self.vault if "vault" in self.what else self.side if self.what not in ("crash home", "nothing") else ""
        if self.what in ("cut link", "silence link"):
            whom = f"{self.side}-{self.vault}"
        text = f"{self.what} {whom}".strip() + f" {self.seconds:.2f} s"
        if self.cut_after is not None:
            text += f", a cut after {self.cut_after:.2f} s"
        if self.base_beside:
            text += f", beside a base of {self.base_beside}"
        return text


class Life:
    """rounds; and how it ends: who dies in which order, which vault is lost for good (None: none)."""

    def __init__(self, seed, most_rounds=LONGEST_LIFE):
        self.seed = seed
        draw = random.Random(f"life {seed}")
        self.writers = draw.randrange(3, 7)
        count = draw.randrange(SHORTEST_LIFE, LONGEST_LIFE + 1)
        self.dying = draw.sample([f"{what} {side}" for what in ("agent", "server") for side in SIDES], 4)
        self.dying_pause = draw.choice([0.0, 0.0, 0.05, 0.3])
        self.lost_vault = draw.choice(harness.VAULTS) if draw.random() < 0.6 else None
        self.rounds, away, left = [], None, 0
        for _ in range(min(count, most_rounds)):
            each = self._draw_round(draw)
            if away is not None:
                left -= 1
                if left <= 0:
                    each.what, each.vault, away = "vault returns", away, None
                elif "vault" in each.what:
                    each.what, each.vault = "kill agent", None
            elif each.what == "vault leaves":
                away, left = each.vault, draw.randrange(2, MOST_ROUNDS_AWAY + 1)
            self.rounds.append(each)

    @staticmethod
    def _draw_round(draw):
        what = draw.choices([f[0] for f in FAULTS], [f[1] for f in FAULTS])[0]
        seconds = draw.choice([0.0, draw.uniform(0, 0.3), draw.uniform(0.2, 1.5)])
        if what in LASTING:
            seconds = draw.uniform(0.2, 1.5)
        if "silence" in what and draw.random() < 0.06:
            seconds = LONG_SILENCE_SECONDS
        cut_after = draw.choice([None, 0.0, draw.uniform(0, 0.2), draw.uniform(0, 1.0)])
        base_beside = draw.choice(SIDES) if draw.random() < 0.12 else None
        if what == "base":
            base_beside = None  # one at a time: the second would be refused
        if what == "fill agent":
            cut_after = None  # it is asked for and answered on that disk, and would wait for half a minute
        return Round(what, draw.choice(SIDES), draw.choice(harness.VAULTS), seconds, cut_after, base_beside)

    def tell(self):
        lines = [f"seed {self.seed}: {self.writers} writers, {len(self.rounds)} rounds"]
        lines += [f"  {number:2} {each}" for number, each in enumerate(self.rounds, 1)]
        lines.append(f"  end: {', '.join(self.dying)}, {self.dying_pause} s apart; lost vault: {self.lost_vault or 'none'}")
        return "\n".join(lines)
