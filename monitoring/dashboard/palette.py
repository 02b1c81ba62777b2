"""Colours that the colour-blind can tell apart (Okabe and Ito, 2008), each as a pair for a light and a dark background.

Yellow and sky blue vanish on white, blue on black: each name gives the shade that has contrast on its background. A chart never
relies on colour alone: lines differ in dashes too, markers in shape, candles by being hollow or filled.
"""

from __future__ import annotations

from typing import Final, Literal

Colour = Literal["blue", "orange", "green", "purple", "yellow", "grey"]

PALETTE: Final[dict[Colour, tuple[str, str]]] = {
    "blue": ("#0072B2", "#56B4E9"),
    "orange": ("#D55E00", "#E69F00"),
    "green": ("#00805F", "#009E73"),
    "purple": ("#A8507F", "#CC79A7"),
    "yellow": ("#8A7B00", "#F0E442"),
    "grey": ("#5F5F5F", "#B0B0B0"),
}
