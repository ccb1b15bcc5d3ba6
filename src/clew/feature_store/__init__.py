"""Feature views, windows and point-in-time joins; training sets; the online store."""
