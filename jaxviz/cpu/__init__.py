"""What is faster on a CPU, and the one file that knows when it is."""
