"""The API server: operations as routes, byte streams, live events, the page, and the process that `clew up` starts."""
