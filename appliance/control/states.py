"""The words for a matcher's state and for the market's phase, for everyone who shows them."""

from ..layout import shared

STATES = {0: "importing", shared.BOOTING: "booting", shared.WARMING: "warming",
          shared.READY: "ready", shared.ENDING: "ending", shared.ENDED: "ended",
          shared.FAILED: "failed"}
PHASES = {0: "not begun", 1: "open", 2: "closed", 3: "pre-open"}      # engine.phase
