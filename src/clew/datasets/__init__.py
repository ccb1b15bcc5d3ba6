"""Table datasets: checked on the way in, versioned row by row, appended to as streams."""
