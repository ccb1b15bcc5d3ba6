"""Where things are kept: the metadata database, blobs, tables and events."""
