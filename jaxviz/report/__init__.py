"""From networks and pictures to figures with their numbers, and to the page that explains them."""
