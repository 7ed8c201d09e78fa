"""Hostile inputs, seeded: one module per class of input, and a runner that holds each case to the promises."""
