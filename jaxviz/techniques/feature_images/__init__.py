"""Feature images: made to excite what a score asks for, by gradient ascent on a parametrized image.

Olah et al. 2017, "Feature visualization"; Mordvintsev et al. 2018, "Differentiable image
parameterizations"; Yosinski et al. 2015, "Understanding neural networks through deep
visualization", section 3.
"""
