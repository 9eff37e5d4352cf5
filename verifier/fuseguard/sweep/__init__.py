"""A sweep: check, prove and repair over models, releases and targets, each result in one store."""
