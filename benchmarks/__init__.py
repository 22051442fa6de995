"""xpnet beside its rivals, measured the same way; hostile trials of xpnet."""
