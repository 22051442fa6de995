"""The commands of `xpnet`, a module each; imported when they are called."""
