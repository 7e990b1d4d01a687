"""The chapters of the book, a folder each: its study, its rules, its page and its figures."""

from bnstudy.chapters.asking import ask, restored
from bnstudy.chapters.found import EXPERIMENTS, plan_of
from bnstudy.chapters.loading import load, run_study
from bnstudy.chapters.opening import open

__all__ = ["EXPERIMENTS", "ask", "load", "open", "plan_of", "restored", "run_study"]
