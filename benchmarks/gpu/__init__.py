"""`xpnet gpu-check`: is the device right, and how fast is it; one record of both."""
