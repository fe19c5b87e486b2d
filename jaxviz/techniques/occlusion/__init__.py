"""Occlusion: hide a part of the image, watch the score, draw what mattered and how sure it is."""
