"""Running: from a request to an outcome, through a zygote's child or a process of its own."""
