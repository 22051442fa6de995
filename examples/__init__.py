"""Scripts to read and run: the lessons of `xpnet gallery`, and parts of your own."""
