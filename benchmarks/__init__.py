"""What is fast and what is not: xpnet beside its rivals, measured the same way."""
