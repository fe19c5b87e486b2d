"""Scores: functions of the outputs dict that return one number for each image, or many.

Two scores with the same arguments are equal, so compiled code is reused. They can be added,
subtracted and multiplied by numbers. Any function `outputs -> (batch, ...)` can take their place.
"""
