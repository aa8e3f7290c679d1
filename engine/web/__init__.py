"""The web face: GOV.UK pages over the flows. A route parses, calls one flow and renders."""
