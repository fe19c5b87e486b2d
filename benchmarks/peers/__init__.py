"""What jaxviz is compared with, written as its users write it."""
