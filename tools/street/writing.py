"""Boards with a word on them: signs and number plates."""

import cv2
import numpy as np
from numpy.typing import NDArray

WORDS = ("CAFE", "HOTEL", "BOOKS", "BANK", "PIZZA", "MARKET", "TAXI", "CINEMA", "METRO", "GARAGE")
INKS = ((232, 228, 214), (156, 28, 34), (24, 62, 120), (22, 90, 62), (238, 196, 44))
HEIGHT, WIDTH = 60, 240
FONT, SCALE, THICKNESS = cv2.FONT_HERSHEY_DUPLEX, 1.5, 4


def draw_board(generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a board ``(60, 240, 3)``, 8-bit sRGB, with a word in two colours."""
    paper, ink = generator.permutation(np.array(INKS))[:2]
    board = np.full((HEIGHT, WIDTH, 3), paper, np.uint8)
    word = str(generator.choice(WORDS))
    (width, height), _ = cv2.getTextSize(word, FONT, SCALE, THICKNESS)
    origin = ((WIDTH - width) // 2, (HEIGHT + height) // 2)
    cv2.putText(board, word, origin, FONT, SCALE, ink.tolist(), THICKNESS, cv2.LINE_AA)
    return board
