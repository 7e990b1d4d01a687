"""The real judge on studies of known truth: false verdicts of the whole book, and the power of each part."""

from bnstudy.analysis.simulate.book import Book, of_the_book, power
from bnstudy.analysis.simulate.record import SimulationError, largest_false_share, read, simulate, write

__all__ = [
    "Book",
    "SimulationError",
    "largest_false_share",
    "of_the_book",
    "power",
    "read",
    "simulate",
    "write",
]
