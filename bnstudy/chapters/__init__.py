"""The chapters of the book, a folder each: its study, its rules, its page and its figures."""

from bnstudy.chapters.found import EXPERIMENTS, claims, plan_of
from bnstudy.chapters.opening import load, run_study

__all__ = ["EXPERIMENTS", "claims", "load", "plan_of", "run_study"]
