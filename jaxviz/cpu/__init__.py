"""What runs quicker on a CPU, and the one place that knows when it does."""
