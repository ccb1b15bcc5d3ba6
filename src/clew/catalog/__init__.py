"""Assets, their versions, aliases and lineage: the spine that the other slices share."""
