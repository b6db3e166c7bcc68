"""The lab: finds studies, runs them, writes their outcome, judges their claims. It knows no physics and no particular study."""
