"""What the common fitter costs and whether its intervals mean what they say."""
