"""The values that layers hand each other: frozen, complete when made, JSON in both directions."""
