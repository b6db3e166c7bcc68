"""The ground floor: numerical tools that know no physics."""
