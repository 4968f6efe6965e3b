"""EC2 as the rest of spotcluster sees it: typed answers, translated errors, tags at creation."""
