"""The peers: programs that are run by the interpreters of throw-away environments."""
