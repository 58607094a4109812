"""The demonstration: real consumers, one of them killed on the way, and an account that has to add up."""
