"""What a heatmap is worth: does the score follow it, and does it follow the network?

Petsiuk et al. 2018, "RISE"; Ancona et al. 2018, "Towards better understanding of gradient-based
attribution methods"; Adebayo et al. 2018, "Sanity checks for saliency maps".
"""
