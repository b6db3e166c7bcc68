"""Theory: closed equations for the order parameters, one solver per kind of equation."""
