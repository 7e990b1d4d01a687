"""The trainings of the second round, a file a block: several chapters read the same ones.

What tells the arms of a block apart, and with how many seeds it is judged, stands with the rules in
``bnstudy.analysis.judged``; what is left to set stands here.
"""
