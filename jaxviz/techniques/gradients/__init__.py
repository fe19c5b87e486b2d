"""What each pixel adds to a score, by the gradient: pure functions of (apply, params, images).

They all return the score's `baseline`, `values` for each number of an image, and a `heatmap` for
each pixel.
"""
